// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/blakesmith/ar"
	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb" // both formats register themselves
	_ "github.com/goreleaser/nfpm/v2/ipk"
)

// description is the one description of all packages.
const description = "nfpm.yaml"

// pack writes the package of that format for b.
func (j job) pack(format string, b binary) error {
	info, err := j.describe(format, b)
	if err != nil {
		return err
	}
	packager, err := nfpm.Get(format)
	if err != nil {
		return err
	}
	name := filepath.Join(j.out, packager.ConventionalFileName(info))
	var content bytes.Buffer
	if err := packager.Package(info, &content); err != nil {
		return err
	}
	text := content.Bytes()
	if format == "ipk" {
		if text, err = archive(text, j.date()); err != nil {
			return err
		}
	}
	return os.WriteFile(name, text, 0o644)
}

// describe reads the description for one package.
func (j job) describe(format string, b binary) (*nfpm.Info, error) {
	docs, err := filepath.Abs(j.docs)
	if err != nil {
		return nil, err
	}
	arch := b.architecture().deb
	if format == "ipk" {
		arch = b.architecture().ipk
	}
	words := map[string]string{"VERSION": j.version, "ARCH": arch, "MAINTAINER": j.maintainer, "BINARY": b.path, "DOCS": docs}
	config, err := nfpm.ParseFileWithEnvMapping(description, func(word string) string { return words[word] })
	if err != nil {
		return nil, err
	}
	info, err := config.Get(format)
	if err != nil {
		return nil, err
	}
	info = nfpm.WithDefaults(info)
	info.MTime = j.date()
	if format == "deb" {
		info.License = "" // a field that Debian does not know; see copyright
	}
	for _, content := range info.Contents { // not the date and the owner of the source file
		content.FileInfo.MTime, content.FileInfo.Owner, content.FileInfo.Group = j.date(), "root", "root"
	}
	return info, nil
}

// archive makes of the gzipped tar archive that OpenWrt's opkg takes the ar
// archive with the same three members that OpenEmbedded's opkg-build makes.
func archive(gzipped []byte, date time.Time) ([]byte, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(gzipped))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	to := ar.NewWriter(&out)
	if err := to.WriteGlobalHeader(); err != nil {
		return nil, err
	}
	from := tar.NewReader(unzipped)
	for {
		member, err := from.Next()
		if errors.Is(err, io.EOF) {
			return out.Bytes(), nil
		}
		if err != nil {
			return nil, fmt.Errorf("read ipk: %w", err)
		}
		text, err := io.ReadAll(from)
		if err != nil {
			return nil, fmt.Errorf("read ipk: %w", err)
		}
		header := ar.Header{Name: filepath.Base(member.Name), Size: int64(len(text)), Mode: 0o100644, ModTime: date}
		if err := to.WriteHeader(&header); err != nil {
			return nil, err
		}
		if _, err := to.Write(text); err != nil {
			return nil, err
		}
	}
}
