// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// writeSBOM writes the bill of materials of b: what the linker recorded of the
// modules that are in this very binary, with the checksums of go.sum, and the
// standard library. It is CycloneDX 1.6 in JSON. There is no serial number:
// it would have to be random.
func (j job) writeSBOM(path string, b binary) error {
	sum, _, err := hash(b.path)
	if err != nil {
		return err
	}
	bom := cdx.NewBOM()
	main := cdx.Component{
		BOMRef: "pkg:golang/usbagent@" + j.version + "?goos=" + b.os + "&goarch=" + b.arch, Type: cdx.ComponentTypeApplication,
		Name: "usbagent", Version: j.version, Hashes: &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: sum}},
		Licenses:   &cdx.Licenses{{License: &cdx.License{ID: "GPL-3.0-or-later"}}},
		Properties: &[]cdx.Property{{Name: "usbagent:commit", Value: j.commit}, {Name: "usbagent:platform", Value: b.platform()}},
	}
	bom.Metadata = &cdx.Metadata{Timestamp: j.date().Format(time.RFC3339), Component: &main}
	components := []cdx.Component{library("std", strings.TrimPrefix(b.info.GoVersion, "go"), "")}
	for _, m := range b.info.Deps {
		c, err := module(m)
		if err != nil {
			return err
		}
		components = append(components, c)
	}
	bom.Components = &components
	needs := make([]string, len(components))
	for i, c := range components {
		needs[i] = c.BOMRef
	}
	bom.Dependencies = &[]cdx.Dependency{{Ref: main.BOMRef, Dependencies: &needs}}
	var out bytes.Buffer
	if err := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6); err != nil {
		return err
	}
	return os.WriteFile(path, out.Bytes(), 0o644)
}

// module is one dependency. Go's "h1:" sum is a SHA-256 in base64.
func module(m *debug.Module) (cdx.Component, error) {
	if m.Replace != nil {
		m = m.Replace
	}
	sum, ok := strings.CutPrefix(m.Sum, "h1:")
	raw, err := base64.StdEncoding.DecodeString(sum)
	if !ok || err != nil || len(raw) != 32 {
		return cdx.Component{}, fmt.Errorf("module %s %s has no checksum", m.Path, m.Version)
	}
	return library(m.Path, m.Version, hex.EncodeToString(raw)), nil
}

func library(path, version, sum string) cdx.Component {
	purl := "pkg:golang/" + path + "@" + version
	c := cdx.Component{BOMRef: purl, Type: cdx.ComponentTypeLibrary, Name: path, Version: version, PackageURL: purl, Scope: cdx.ScopeRequired}
	if sum != "" {
		c.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: sum}}
	}
	return c
}
