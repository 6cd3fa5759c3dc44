// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"usbagent/internal/systembus"
)

// DefaultFwEnvConfig says where U-Boot's environment is (fw_env.config of
// U-Boot's tools and of libubootenv).
const DefaultFwEnvConfig = "/etc/fw_env.config"

// Limits of what RAUC takes its answers from.
const (
	// MaxFwEnvConfig is the largest fw_env.config, in bytes.
	MaxFwEnvConfig = 64 << 10
	// MaxEnvironment is the largest copy of U-Boot's environment, in bytes.
	MaxEnvironment = 256 << 10
	// MaxEnvironments is how many copies there are: one, or two in turn.
	MaxEnvironments = 2
	// MaxStatusFile is the largest status file of RAUC's, in bytes.
	MaxStatusFile = 256 << 10
)

// known is an answer of System, and all the bytes that it depends on: RAUC's
// configuration, its status file, and the boot loader's environment. As long as
// those are the same the answer is, too; to compare them takes a hundredth of the
// time that RAUC takes, which starts six programs.
type known struct {
	system  System
	sources []byte
}

// Prepare asks whether the boot has finished and MarkGoodUnit has done its work,
// which then is not asked for again, looks at RAUC's program, and asks RAUC, where
// it runs, for its slots.
func (r *RAUC) Prepare(ctx context.Context) {
	r.machine.booted(ctx)
	r.BindsManifest(ctx)
	var k *known
	if before, err := r.sources(); err == nil && r.runs(ctx) {
		system, err := r.System(ctx)
		after, changed := r.sources()
		if err == nil && changed == nil && bytes.Equal(before, after) {
			k = &known{system, after}
		}
	}
	r.remember(k)
}

// Known implements Backend.
func (r *RAUC) Known() (System, bool) {
	r.mu.Lock()
	k := r.known
	r.mu.Unlock()
	if k == nil || !r.machine.isMarked() {
		return System{}, false
	}
	if now, err := r.sources(); err != nil || !bytes.Equal(now, k.sources) {
		r.remember(nil)
		return System{}, false
	}
	return k.system, true
}

func (r *RAUC) remember(k *known) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known = k
}

// runs reports whether somebody has RAUC's name on the bus. It starts nobody.
func (r *RAUC) runs(ctx context.Context) bool {
	address, _ := busAddress(r.o.BusAddress)
	l, err := r.spare.open(ctx, address, r.limits.connect)
	if err != nil {
		return false
	}
	defer r.spare.giveBack(l)
	there := false
	err = bus{l, r.limits.call}.call(ctx, systembus.Bus, "org.freedesktop.DBus.NameHasOwner", []any{raucName}, &there)
	return err == nil && there
}

// errUnknownSources means that RAUC's answers depend on more than can be looked at.
var errUnknownSources = errors.New("what RAUC's answers depend on is not known")

// sources returns what RAUC's answers about the slots depend on: with U-Boot and
// a status file for all slots these bytes and nothing else that changes while the
// system runs.
func (r *RAUC) sources() ([]byte, error) {
	text, err := readSource(orDefault(r.o.SystemConf, DefaultSystemConf), 0, MaxSystemConfSize, false)
	if err != nil {
		return nil, err
	}
	conf, err := ParseSystemConf(text)
	if err != nil {
		return nil, err
	}
	if conf.Bootloader != "uboot" || !filepath.IsAbs(conf.StatusFile) {
		return nil, errUnknownSources
	}
	status, err := readSource(conf.StatusFile, 0, MaxStatusFile, false)
	if errors.Is(err, fs.ErrNotExist) { // nothing was installed yet
		status, err = []byte("none"), nil
	}
	if err != nil {
		return nil, err
	}
	env, err := bootEnvironment(orDefault(r.o.FwEnvConfig, DefaultFwEnvConfig))
	if err != nil {
		return nil, err
	}
	return slices.Concat(text, []byte{0}, status, []byte{0}, env), nil
}

// bootEnvironment returns the fw_env.config at path and all copies of U-Boot's
// environment that it names.
func bootEnvironment(path string) ([]byte, error) {
	all, err := readSource(path, 0, MaxFwEnvConfig, false)
	if err != nil {
		return nil, err
	}
	copies, err := parseFwEnvConfig(all)
	if err != nil {
		return nil, err
	}
	for _, c := range copies {
		data, err := readSource(c.device, c.offset, c.size, true)
		if err != nil {
			return nil, err
		}
		all = append(append(all, 0), data...)
	}
	return all, nil
}

func orDefault(path, usual string) string {
	if path == "" {
		return usual
	}
	return path
}

// readSource reads a regular file, or a block device: from offset on, at most size
// bytes, or exactly that many.
func readSource(path string, offset, size int64, exactly bool) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode() & (fs.ModeType | fs.ModeCharDevice); mode != 0 && mode != fs.ModeDevice {
		return nil, fmt.Errorf("%s: %w", path, errUnknownSources)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.NewSectionReader(f, offset, size+1))
	switch {
	case err != nil:
		return nil, err
	case exactly && int64(len(data)) >= size:
		return data[:size], nil
	case exactly || int64(len(data)) > size:
		return nil, fmt.Errorf("%s: %w", path, errUnknownSources)
	}
	return data, nil
}

// environment is one copy of U-Boot's environment.
type environment struct {
	device       string
	offset, size int64
}

// parseFwEnvConfig reads an fw_env.config: for each copy a line with device,
// offset, size, and more that only matters for writing.
func parseFwEnvConfig(text []byte) ([]environment, error) {
	var copies []environment
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) < 3 || len(copies) == MaxEnvironments || !filepath.IsAbs(fields[0]) {
			return nil, errUnknownSources
		}
		offset, err := strconv.ParseInt(fields[1], 0, 64)
		size, wrong := strconv.ParseInt(fields[2], 0, 64)
		// A negative offset counts from the end.
		if err != nil || wrong != nil || offset < 0 || size <= 0 || size > MaxEnvironment {
			return nil, errUnknownSources
		}
		copies = append(copies, environment{fields[0], offset, size})
	}
	if len(copies) == 0 {
		return nil, errUnknownSources
	}
	return copies, nil
}
