// SPDX-License-Identifier: GPL-3.0-or-later

// Command package makes what a release consists of from binaries that are
// built already: .deb and .ipk packages as nfpm.yaml describes them, a bill of
// materials for each binary, and SHA256SUMS. The same input gives the same
// bytes, wherever and whenever it runs. "make package" and "make release" call
// it, in its own directory.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// job is what the command line asks for.
type job struct {
	version, commit string
	maintainer      string
	epoch           int64  // seconds; the date of everything that is made
	docs            string // what "make docs" wrote; the compressed pages are put beside it
	changelog       string // CHANGELOG.md
	out             string
	binaries        bool   // put the binaries into out as well
	layer           string // the Yocto layer; "" for none
}

func (j job) date() time.Time { return time.Unix(j.epoch, 0).UTC() }

func main() {
	var j job
	flag.StringVar(&j.version, "version", "", "version, as in semver.org")
	flag.StringVar(&j.commit, "commit", "", "commit of the source")
	flag.StringVar(&j.maintainer, "maintainer", "", "name and mail address of who answers for the packages")
	flag.Int64Var(&j.epoch, "date", 0, "date of the source, in seconds since 1970")
	flag.StringVar(&j.docs, "docs", "", "directory with manual pages and completions")
	flag.StringVar(&j.changelog, "changelog", "../../CHANGELOG.md", "changelog")
	flag.StringVar(&j.out, "out", "", "directory that gets packages, bills of materials and SHA256SUMS")
	flag.BoolVar(&j.binaries, "binaries", false, "put the binaries there as well")
	flag.StringVar(&j.layer, "layer", "", "Yocto layer to release with the binaries and the source archive that lie in -out")
	flag.Parse()
	if err := j.run(flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "package:", err)
		os.Exit(1)
	}
}

// run packs the binaries at paths.
func (j job) run(paths []string) error {
	if j.version == "" || j.docs == "" || j.out == "" || j.epoch == 0 || len(paths) == 0 {
		return errors.New("-version, -date, -docs, -out and binaries are needed")
	}
	if err := os.MkdirAll(j.out, 0o755); err != nil {
		return err
	}
	if err := j.compressDocs(); err != nil {
		return err
	}
	for _, path := range paths {
		b, err := readBinary(path)
		if err != nil {
			return err
		}
		if err := j.release(b); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if j.layer != "" {
		if err := j.writeLayer(j.layer); err != nil {
			return err
		}
	}
	return writeSums(j.out)
}

// release makes everything that is released of one binary.
func (j job) release(b binary) error {
	name := "usbagent-" + j.version + "-" + b.platform()
	if err := j.writeSBOM(filepath.Join(j.out, name+".cdx.json"), b); err != nil {
		return err
	}
	if j.binaries {
		text, err := os.ReadFile(b.path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(j.out, name+b.suffix()), text, 0o755); err != nil {
			return err
		}
	}
	if b.os != "linux" {
		return nil
	}
	return errors.Join(j.pack("deb", b), j.pack("ipk", b))
}
