// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"usbagent/internal/durable"
	"usbagent/internal/staging"
	"usbagent/test/need"
)

// privateDir returns a directory for staged images that is safe: below root's.
func privateDir(t *testing.T) string {
	t.Helper()
	need.Root(t)
	return filepath.Join(t.TempDir(), "state", "staging")
}

// request is one that succeeds, for a plain bundle of content.
func request(t *testing.T, content []byte) (StageRequest, []byte) {
	file := bundle(content, []byte("the signature"))
	trailer, err := ReadTrailer(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	return StageRequest{Source: bytes.NewReader(file), Size: int64(len(file)), Dir: privateDir(t),
		Reserve: 1, Trailer: trailer, Hash: crypto.SHA256, Sum: sum[:]}, file
}

// empty asserts that nothing is left in the staging directory.
func empty(t *testing.T, dir string) {
	t.Helper()
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left in the staging directory: %v", left)
	}
}

func TestStage(t *testing.T) {
	content := append([]byte("hsqs"), bytes.Repeat([]byte("content "), 400000)...) // more than both buffers
	r, file := request(t, content)
	var last int64
	r.Progress = func(done, size int64) { last = done }
	s, err := Stage(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(s.Path)
	if err != nil || !bytes.Equal(got, file) || s.SHA256 != [sha256.Size]byte{} || last != int64(len(file)) {
		t.Errorf("the copy has %d of %d bytes, digest %x, progress %d, %v", len(got), len(file), s.SHA256, last, err)
	}
	info, _ := os.Stat(s.Path)
	dir, _ := os.Stat(r.Dir)
	if info.Mode() != 0o600 || dir.Mode().Perm() != 0o700 {
		t.Errorf("modes: file %v, directory %v; want 0600 and 0700", info.Mode(), dir.Mode())
	}
	for range 2 {
		if err := s.Remove(); err != nil {
			t.Error(err)
		}
	}
	empty(t, r.Dir)
}

// TestStageDeviceLies: the copy is not what was verified, at any place.
func TestStageDeviceLies(t *testing.T) {
	content := append([]byte("hsqs"), make([]byte, 3<<20)...)
	for name, lie := range map[string]func(file []byte) []byte{
		"first byte":      func(f []byte) []byte { f[0] ^= 1; return f },
		"last of content": func(f []byte) []byte { f[len(content)-1] ^= 1; return f },
		"the signature":   func(f []byte) []byte { f[len(content)+3] ^= 1; return f },
		"its size":        func(f []byte) []byte { f[len(f)-1] ^= 1; return f },
		"shorter":         func(f []byte) []byte { return f[:len(f)-1] },
		"nothing":         func(f []byte) []byte { return nil },
	} {
		r, file := request(t, content)
		r.Source = bytes.NewReader(lie(bytes.Clone(file)))
		if s, err := Stage(t.Context(), r); !errors.Is(err, ErrChanged) {
			t.Errorf("%s: %v, %v; want ErrChanged", name, s, err)
		}
		empty(t, r.Dir)
	}
	r, file := request(t, content)
	r.Size++
	if _, err := Stage(t.Context(), r); !errors.Is(err, ErrChanged) {
		t.Errorf("another size: %v", err)
	}
	// What follows after Size bytes was never looked at and is not copied.
	r, _ = request(t, content)
	r.Source = bytes.NewReader(append(bytes.Clone(file), "more"...))
	if s, err := Stage(t.Context(), r); err != nil {
		t.Errorf("a file that grew: %v", err)
	} else if info, _ := os.Stat(s.Path); info.Size() != int64(len(file)) {
		t.Errorf("copied %d bytes of %d", info.Size(), len(file))
	}
}

// stuck gives some bytes and then never answers.
type stuck struct {
	give  int
	begun chan struct{}
	end   chan struct{}
}

func (s *stuck) Read(b []byte) (int, error) {
	if s.give > 0 {
		n := min(s.give, len(b))
		s.give -= n
		return n, nil
	}
	select {
	case s.begun <- struct{}{}:
	default:
	}
	<-s.end
	return 0, io.ErrUnexpectedEOF
}

// TestStageStall: a device that stops answering is abandoned after
// a window of time, and one that gives a block now and then too.
func TestStageStall(t *testing.T) {
	before := runtime.NumGoroutine()
	end := make(chan struct{})
	start := time.Now()
	_, err := Stage(t.Context(), StageRequest{Source: &stuck{give: 3 << 20, end: end, begun: make(chan struct{}, 1)},
		Size: 10 << 20, Dir: privateDir(t), Reserve: 1, Window: 200 * time.Millisecond})
	if !errors.Is(err, ErrStalled) || time.Since(start) > 5*time.Second {
		t.Errorf("Stage = %v after %v, want ErrStalled", err, time.Since(start))
	}
	close(end)
	dir := privateDir(t)
	_, err = Stage(t.Context(), StageRequest{Source: slow{}, Size: 1 << 20, Dir: dir, Reserve: 1, Window: 300 * time.Millisecond})
	if !errors.Is(err, ErrStalled) {
		t.Errorf("one block now and then: %v, want ErrStalled (staging.MinRate)", err)
	}
	empty(t, dir)
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// slow gives one 512 byte block ten times a second.
type slow struct{}

func (slow) Read(b []byte) (int, error) {
	time.Sleep(100 * time.Millisecond)
	return min(512, len(b)), nil
}

func TestStageStops(t *testing.T) {
	s := &stuck{end: make(chan struct{}), begun: make(chan struct{}, 1)}
	defer close(s.end)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-s.begun; cancel() }()
	dir := privateDir(t)
	if _, err := Stage(ctx, StageRequest{Source: s, Size: 1 << 20, Dir: dir, Reserve: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("Stage = %v", err)
	}
	empty(t, dir)
}

func TestStageSpace(t *testing.T) {
	dir := privateDir(t)
	for name, r := range map[string]StageRequest{
		"StageReserve":  {Size: 1 << 62},
		"reserve alone": {Size: 1, Reserve: 1 << 62},
	} {
		r.Source, r.Dir = stuckNever{t}, dir
		if _, err := Stage(t.Context(), r); !errors.Is(err, ErrNoSpace) {
			t.Errorf("%s: %v, want ErrNoSpace", name, err)
		}
	}
	free, err := staging.FreeSpace(dir)
	if err != nil || free <= 0 {
		t.Fatalf("FreeSpace = %d, %v", free, err)
	}
	r := StageRequest{Source: stuckNever{t}, Dir: dir, Size: free - StageReserve/2}
	if _, err := Stage(t.Context(), r); !errors.Is(err, ErrNoSpace) {
		t.Errorf("within StageReserve: %v, want ErrNoSpace", err)
	}
}

// stuckNever must not be read.
type stuckNever struct{ t *testing.T }

func (s stuckNever) Read([]byte) (int, error) {
	s.t.Error("the device was read")
	return 0, io.EOF
}

// TestStageDirectory: a directory that others could change is not used.
func TestStageDirectory(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"mode 0777":      func(dir string) error { return os.Chmod(dir, 0o777) },
		"owned by 65534": func(dir string) error { return os.Chown(dir, 65534, 65534) },
		"a link": func(dir string) error {
			return errors.Join(os.Remove(dir), os.Symlink(t.TempDir(), dir))
		},
		"a file": func(dir string) error {
			return errors.Join(os.Remove(dir), os.WriteFile(dir, nil, 0o600))
		},
		"parent of others": func(dir string) error { return os.Chown(filepath.Dir(dir), 65534, 65534) },
	} {
		r, _ := request(t, append([]byte("hsqs"), make([]byte, 200)...))
		if err := errors.Join(os.MkdirAll(r.Dir, 0o755), spoil(r.Dir)); err != nil {
			t.Fatal(err)
		}
		_, err := Stage(t.Context(), r)
		if err == nil || name != "a file" && !errors.Is(err, durable.ErrExposed) {
			t.Errorf("%s: %v, want ErrExposed", name, err)
		}
	}
}

func TestCleanStaging(t *testing.T) {
	dir := privateDir(t)
	if err := CleanStaging(dir); err != nil {
		t.Errorf("nothing there: %v", err)
	}
	outside := filepath.Join(t.TempDir(), "outside")
	err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(outside, nil, 0o600),
		os.WriteFile(filepath.Join(dir, stagePrefix+"1"), nil, 0o600),
		os.Symlink(outside, filepath.Join(dir, stagePrefix+"2")),
		os.WriteFile(filepath.Join(dir, "other"), nil, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if err := CleanStaging(dir); err != nil {
		t.Error(err)
	}
	left, _ := os.ReadDir(dir)
	if _, err := os.Stat(outside); err != nil || len(left) != 1 || left[0].Name() != "other" {
		t.Errorf("left: %v; outside: %v", left, err)
	}
}

func TestStageRequestCheck(t *testing.T) {
	for name, r := range map[string]StageRequest{
		"no size":               {},
		"negative size":         {Size: -1},
		"digest without end":    {Size: 5, Sum: []byte{1}, Hash: crypto.SHA256},
		"digest without method": {Size: 1 + 1 + cmsSizeBytes, Sum: []byte{1}, Trailer: Trailer{CMS: []byte{1}, ContentSize: 1}},
	} {
		r.Source, r.Dir = stuckNever{t}, t.TempDir()
		if _, err := Stage(t.Context(), r); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestLocationOf(t *testing.T) {
	need.Root(t)
	f, err := os.Create(filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.Chown(1000, 1000)
	f.Chmod(0o664)
	l, err := LocationOf(f)
	if err != nil || l.UID != 1000 || l.Mode != 0o664 || l.FUSE {
		t.Errorf("LocationOf = %+v, %v", l, err)
	}
	if why := l.refusal(); !strings.Contains(why, "1000") {
		t.Errorf("refusal = %q", why)
	}
	if why := (Location{Type: "vfat", Mode: 0o644}).refusal(); why != "" {
		t.Errorf("FAT with fmask=0022 is refused: %s", why)
	}
}
