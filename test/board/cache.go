// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// CacheVariable names the environment variable that moves the cache of built
// layers away from build/board in the source tree.
const CacheVariable = "USBAGENT_BOARD_CACHE"

// Cache holds layers, each a directory that was built once from its inputs
// and is named by their hash: a changed recipe is a new directory.
type Cache struct {
	root string
	// Say is told what is being built, since a first build takes minutes.
	Say func(format string, args ...any)
}

// OpenCache returns the cache that the environment or the source tree names.
func OpenCache() (*Cache, error) {
	root := os.Getenv(CacheVariable)
	if root == "" {
		top, err := SourceRoot()
		if err != nil {
			return nil, err
		}
		root = filepath.Join(top, "build", "board")
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("find the board's cache: %w", err)
	}
	say := func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "board: "+format+"\n", args...)
	}
	return &Cache{root: root, Say: say}, os.MkdirAll(root, 0o755)
}

// SourceRoot is the directory of go.mod at or above the working directory.
func SourceRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the source tree: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("find the source tree: no go.mod at or above the working directory")
		}
		dir = filepath.Dir(dir)
	}
}

// key is the hash of what a layer is made from.
func key(inputs ...string) string {
	h := sha256.New()
	for _, input := range inputs {
		fmt.Fprintf(h, "%d:%s", len(input), input)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// Layer returns the directory of the layer name made from inputs, and builds
// it where it is missing. It locks, so that two test processes build once.
func (c *Cache) Layer(name string, inputs []string, build func(dir string) error) (string, error) {
	final := filepath.Join(c.root, name+"-"+key(inputs...))
	unlock, err := lockFile(filepath.Join(c.root, name+".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(final); err == nil {
		now := time.Now()
		return final, os.Chtimes(final, now, now)
	}
	began := time.Now()
	c.Say("building %s …", name)
	partial := final + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return "", err
	}
	if err := os.MkdirAll(partial, 0o755); err != nil {
		return "", err
	}
	if err := build(partial); err != nil {
		return "", fmt.Errorf("build %s (left in %s): %w", name, partial, err)
	}
	if err := os.Rename(partial, final); err != nil {
		return "", err
	}
	c.Say("built %s in %.0f s", name, time.Since(began).Seconds())
	return final, c.prune(name, final)
}

// LayersKept is how many old versions of a layer stay beside the newest: they
// may be in use by another branch's test.
const LayersKept = 2

// prune removes the oldest versions of a layer beyond LayersKept.
func (c *Cache) prune(name, keep string) error {
	found, err := filepath.Glob(filepath.Join(c.root, name+"-*"))
	if err != nil {
		return err
	}
	type version struct {
		path string
		used time.Time
	}
	var old []version
	for _, path := range found {
		rest := strings.TrimPrefix(filepath.Base(path), name+"-")
		info, err := os.Stat(path)
		if err != nil || path == keep || len(rest) != 16 {
			continue
		}
		old = append(old, version{path, info.ModTime()})
	}
	for len(old) > LayersKept {
		oldest := 0
		for i := range old {
			if old[i].used.Before(old[oldest].used) {
				oldest = i
			}
		}
		if err := os.RemoveAll(old[oldest].path); err != nil {
			return err
		}
		old = append(old[:oldest], old[oldest+1:]...)
	}
	return nil
}

// lockFile waits for the exclusive lock on path.
func lockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}

// readTree returns the files at and below roots as inputs of a layer.
func readTree(fsys fs.FS, roots ...string) ([]string, error) {
	var inputs []string
	for _, root := range roots {
		err := fs.WalkDir(fsys, root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := fs.ReadFile(fsys, path)
			inputs = append(inputs, path, string(data))
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return inputs, nil
}
