// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// placeholder is filled in when a layer is released: @VERSION@.
var placeholder = regexp.MustCompile(`@[A-Za-z0-9_-]+@`)

// writeLayer writes the Yocto layer of the release, with the version and the
// checksums of what lies in out, as an archive beside it. "x.bb.in" becomes
// "x_VERSION.bb".
func (j job) writeLayer(layer string) error {
	words, err := j.words(layer)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	zipped, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // the level is a valid one
	archive := tar.NewWriter(zipped)
	err = filepath.WalkDir(layer, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(filepath.Dir(layer), path)
		if err != nil {
			return err
		}
		if name, ok := strings.CutSuffix(rel, ".bb.in"); ok {
			rel = name + "_" + debianVersion(j.version) + ".bb"
		}
		filled, err := fill(string(text), words)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		header := tar.Header{Name: rel, Mode: 0o644, Size: int64(len(filled)), ModTime: j.date(), Uname: "root", Gname: "root", Format: tar.FormatGNU}
		if err := archive.WriteHeader(&header); err != nil {
			return err
		}
		_, err = archive.Write([]byte(filled))
		return err
	})
	if err != nil {
		return err
	}
	if err := archive.Close(); err != nil {
		return err
	}
	if err := zipped.Close(); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(j.out, "meta-usbagent-"+j.version+".tar.gz"), out.Bytes(), 0o644)
}

// words is what the placeholders stand for.
func (j job) words(layer string) (map[string]string, error) {
	words := map[string]string{"@VERSION@": j.version, "@COMMIT@": j.commit}
	license, err := os.ReadFile(filepath.Join(layer, "../../../LICENSE"))
	if err != nil {
		return nil, err
	}
	words["@LICENSE_MD5@"] = fmt.Sprintf("%x", md5.Sum(license))
	for _, platform := range []string{"linux-armv7", "linux-arm64", "linux-amd64"} {
		if words["@SHA256_"+platform+"@"], _, err = hash(filepath.Join(j.out, "usbagent-"+j.version+"-"+platform)); err != nil {
			return nil, err
		}
	}
	words["@SHA256_SOURCE@"], _, err = hash(filepath.Join(j.out, "usbagent-"+j.version+".tar.gz"))
	return words, err
}

// fill replaces the placeholders; all must be known.
func fill(text string, words map[string]string) (string, error) {
	var unknown []string
	text = placeholder.ReplaceAllStringFunc(text, func(name string) string {
		word, ok := words[name]
		if !ok {
			unknown = append(unknown, name)
		}
		return word
	})
	if unknown != nil {
		return "", fmt.Errorf("unknown placeholders %q", unknown)
	}
	return text, nil
}
