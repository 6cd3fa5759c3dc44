// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// bundle builds the outer form of a bundle.
func bundle(content, cms []byte) []byte {
	return Trailer{CMS: cms}.after(content)
}

func (t Trailer) after(content []byte) []byte { return append(bytes.Clone(content), t.bytes()...) }

func TestReadTrailer(t *testing.T) {
	content := append([]byte("hsqs"), make([]byte, 200)...)
	cms := []byte("the signature")
	good := bundle(content, cms)
	got, err := ReadTrailer(bytes.NewReader(good), int64(len(good)))
	if err != nil || !bytes.Equal(got.CMS, cms) || got.ContentSize != int64(len(content)) || !got.Squashfs {
		t.Errorf("ReadTrailer = %+v, %v", got, err)
	}
	crypt := bundle(make([]byte, 200), cms)
	if got, err := ReadTrailer(bytes.NewReader(crypt), int64(len(crypt))); err != nil || got.Squashfs {
		t.Errorf("without magic: %+v, %v; want Squashfs false", got, err)
	}
}

func TestReadTrailerRefuses(t *testing.T) {
	content := append([]byte("hsqs"), make([]byte, 200)...)
	size := func(n uint64) []byte { return binary.BigEndian.AppendUint64(bytes.Clone(content), n) }
	for name, b := range map[string][]byte{
		"empty":               nil,
		"no room":             make([]byte, MinBundleSize-1),
		"no signature":        size(0),
		"longer than file":    size(uint64(len(content))),
		"negative":            size(1 << 63),
		"over MaxCMSSize":     append(make([]byte, 2*MaxCMSSize), size(MaxCMSSize+1)...),
		"truncated":           bundle(content, make([]byte, 50))[:len(content)+40],
		"only text, 8 spaces": bytes.Repeat([]byte(" "), 4096),
	} {
		if got, err := ReadTrailer(bytes.NewReader(b), int64(len(b))); err == nil {
			t.Errorf("%s: accepted with %d bytes of CMS", name, len(got.CMS))
		}
	}
	atLimit := bundle(make([]byte, 200), make([]byte, MaxCMSSize))
	if _, err := ReadTrailer(bytes.NewReader(atLimit), int64(len(atLimit))); err != nil {
		t.Errorf("CMS of MaxCMSSize: %v", err)
	}
	// A device whose size is a lie ends the read, not the program.
	if _, err := ReadTrailer(bytes.NewReader(content), 1<<40); err == nil {
		t.Error("a file shorter than said was accepted")
	}
}

// FuzzTrailer: whatever the end of a file says, no more is read than the file
// has, and what is accepted can be put together again.
func FuzzTrailer(f *testing.F) {
	content := append([]byte("hsqs"), make([]byte, 200)...)
	f.Add(bundle(content, []byte("the signature")))
	f.Add(bundle(content, nil))
	f.Add(content)
	f.Fuzz(func(t *testing.T, b []byte) {
		trailer, err := ReadTrailer(bytes.NewReader(b), int64(len(b)))
		if err == nil && !bytes.Equal(trailer.after(b[:trailer.ContentSize]), b) {
			t.Errorf("accepted %x as %+v", b, trailer)
		}
	})
}
