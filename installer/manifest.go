// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Format is the format of a bundle, as its manifest says.
type Format string

// The formats of RAUC's reference manual.
const (
	Plain  Format = "plain"  // one signature over everything; checked once, before use
	Verity Format = "verity" // every block is checked as it is read
	Crypt  Format = "crypt"  // verity, and encrypted
)

// Image is one image of a bundle.
type Image struct {
	Class    string // slot class it is for, such as "rootfs"
	Variant  string // only for systems of this variant; empty for all
	Filename string
	SHA256   string // lower-case hex; empty for an image made by a hook alone
	Size     int64
}

// Info is what a bundle says about itself.
type Info struct {
	Compatible, Version, Description, Build string
	Format                                  Format
	// ManifestHash is the SHA-256 of the manifest, in lower-case hex; empty
	// where the installer that told us did not say.
	ManifestHash string
	Images       []Image
}

// MaxField is the longest text taken from a manifest's field, in bytes.
const MaxField = 1024

// ParseManifest reads a RAUC manifest (RAUC reference manual, "Manifest").
// Keys and groups it does not know are ignored, since newer versions add some;
// what it cannot rely on is an error.
func ParseManifest(text []byte) (Info, error) {
	info, err := parseManifest(text)
	if err != nil {
		return Info{}, fmt.Errorf("parse manifest: %w", err)
	}
	return info, nil
}

func parseManifest(text []byte) (Info, error) {
	f, err := parseKeyFile(text, MaxManifestSize)
	if err != nil {
		return Info{}, err
	}
	sum := sha256.Sum256(text)
	info := Info{
		Compatible:   f.value("update", "compatible"),
		Version:      f.value("update", "version"),
		Description:  f.value("update", "description"),
		Build:        f.value("update", "build"),
		Format:       Format(f.value("bundle", "format")),
		ManifestHash: hex.EncodeToString(sum[:]),
	}
	if info.Format == "" {
		info.Format = Plain
	}
	for _, group := range f.groups {
		name, ok := strings.CutPrefix(group, "image.")
		if !ok {
			continue
		}
		image, err := parseImage(name, f.values[group])
		if err != nil {
			return Info{}, fmt.Errorf("[%.60s]: %w", group, err)
		}
		info.Images = append(info.Images, image)
	}
	return info, info.check()
}

// check refuses what nobody could decide about.
func (i Info) check() error {
	if i.Compatible == "" {
		return errors.New("no compatible")
	}
	switch i.Format {
	case Plain, Verity, Crypt:
	default:
		return fmt.Errorf("unknown bundle format %.60q", i.Format)
	}
	for _, field := range []string{i.Compatible, i.Version, i.Description, i.Build} {
		if len(field) > MaxField {
			return fmt.Errorf("a field is longer than %d bytes", MaxField)
		}
	}
	return nil
}

// parseImage reads one [image.CLASS] or [image.CLASS.VARIANT] group.
func parseImage(name string, values map[string]string) (Image, error) {
	class, variant, _ := strings.Cut(name, ".")
	image := Image{
		Class:    class,
		Variant:  variant,
		Filename: values["filename"],
		SHA256:   strings.ToLower(values["sha256"]),
	}
	if class == "" || len(name) > MaxField || len(image.Filename) > MaxField {
		return Image{}, errors.New("unusable slot class, variant or file name")
	}
	if raw, err := hex.DecodeString(image.SHA256); err != nil || len(raw) != 0 && len(raw) != sha256.Size {
		return Image{}, fmt.Errorf("sha256 %.80q is none", values["sha256"])
	}
	if size := values["size"]; size != "" {
		n, err := strconv.ParseInt(size, 10, 64)
		if err != nil || n < 0 {
			return Image{}, fmt.Errorf("size %.60q is none", size)
		}
		image.Size = n
	}
	return image, nil
}
