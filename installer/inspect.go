// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"usbagent/internal/systembus"
)

// Limits of the program rauc.
const (
	// ToolTimeout is how long `rauc info` may take; it reads all of a plain bundle.
	ToolTimeout = 15 * time.Minute
	// MaxToolOutput is how much of its output is read, in bytes; more is an error.
	MaxToolOutput = 1 << 20
	// MaxProgram is how much of the program itself is looked at, in bytes.
	MaxProgram = 16 << 20
	// MaxImages is the largest number of images in a bundle.
	MaxImages = 256
)

// Inspect asks RAUC for the manifest of the bundle at path, which RAUC
// verifies: by its method InspectBundle, and before version 1.9 by the program
// `rauc info`, which does not tell the format.
func (r *RAUC) Inspect(ctx context.Context, path string) (Info, error) {
	info, err := r.inspectBundle(ctx, path)
	if isUnknownMethod(err) {
		info, err = r.infoByTool(ctx, path)
	}
	if err != nil {
		return Info{}, fmt.Errorf("inspect %s: %w", path, err)
	}
	return info, nil
}

// BindsManifest reports whether this RAUC knows the option
// require-manifest-hash. The service does not tell; its program has the name of
// each option in it, and to look there takes a tenth of the time that it takes
// to ask the program for its help. It is looked at once, as long as it is the same
// file. Should the service refuse the option all the same, Install returns
// ErrCannotBind.
func (r *RAUC) BindsManifest(context.Context) bool {
	path, err := exec.LookPath(r.program())
	if err != nil {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if seen := r.binds.program; seen == nil || !os.SameFile(seen, info) || seen.Size() != info.Size() || !seen.ModTime().Equal(info.ModTime()) {
		r.binds = binding{info, contains(io.LimitReader(f, MaxProgram), "require-manifest-hash")}
	}
	return r.binds.known
}

// binding is what was found in a program.
type binding struct {
	program os.FileInfo // nil: not looked at yet
	known   bool        // it knows the option
}

// contains reports whether text stands in what r gives.
func contains(r io.Reader, text string) bool {
	buffer, kept := make([]byte, 32<<10), 0
	for {
		n, err := r.Read(buffer[kept:])
		if within(buffer[:kept+n], text) {
			return true
		}
		if err != nil {
			return false
		}
		kept = copy(buffer, buffer[max(0, kept+n-len(text)):kept+n])
	}
}

// within reports whether text stands in buffer. It looks at few of its bytes:
// the one below the end of text says how far text can be moved on (Horspool).
// package bytes looks at each, with no help of the processor on ARMv7.
func within(buffer []byte, text string) bool {
	var skip [256]int
	for c := range skip {
		skip[c] = len(text)
	}
	last := len(text) - 1
	for i := range last {
		skip[text[i]] = last - i
	}
	for i := last; i < len(buffer); i += skip[buffer[i]] {
		if string(buffer[i-last:i+1]) == text {
			return true
		}
	}
	return false
}

// program is RAUC's.
func (r *RAUC) program() string {
	if r.o.Program == "" {
		return "rauc"
	}
	return r.o.Program
}

func (r *RAUC) inspectBundle(ctx context.Context, path string) (Info, error) {
	s, err := r.dial(ctx)
	if err != nil {
		return Info{}, err
	}
	defer s.close()
	ctx, cancel := context.WithTimeout(ctx, r.limits.tool)
	defer cancel()
	var answer map[string]any
	err = s.Call(ctx, &systembus.Call{
		Object: s.rauc, Method: raucInterface + ".InspectBundle", Args: []any{path, map[string]any{}}, NoAutoStart: true,
	}, &answer)
	if isBusy(err) {
		return Info{}, fmt.Errorf("%w (%w)", ErrBusy, err)
	}
	if err != nil {
		return Info{}, err
	}
	return infoFromBus(answer)
}

// infoFromBus reads the answer of InspectBundle (RAUC reference manual).
func infoFromBus(answer map[string]any) (Info, error) {
	dict := func(v any) map[string]any { d, _ := v.(map[string]any); return d }
	text := func(d map[string]any, key string) string { s, _ := d[key].(string); return s }
	update, bundle := dict(answer["update"]), dict(answer["bundle"])
	info := Info{
		Compatible: text(update, "compatible"), Version: text(update, "version"),
		Description: text(update, "description"), Build: text(update, "build"),
		Format: Format(text(bundle, "format")), ManifestHash: text(answer, "manifest-hash"),
	}
	images, _ := answer["images"].([]any)
	for _, v := range images {
		image := dict(v)
		size, _ := image["size"].(uint64)
		info.Images = append(info.Images, Image{
			Class: text(image, "slot-class"), Variant: text(image, "variant"), Filename: text(image, "filename"),
			SHA256: strings.ToLower(text(image, "checksum")), Size: int64(size),
		})
	}
	return info, info.checkTold()
}

// checkTold is check for what an installer told, which may leave out the format.
func (i Info) checkTold() error {
	if len(i.Images) > MaxImages {
		return fmt.Errorf("%d images are more than %d", len(i.Images), MaxImages)
	}
	if i.Format == "" {
		i.Format = Plain
	}
	return i.check()
}

// infoByTool runs `rauc info`. The board's clock is not asked.
func (r *RAUC) infoByTool(ctx context.Context, path string) (Info, error) {
	args := []string{"info", "--no-check-time", "--output-format=json", path}
	if r.o.SystemConf != "" {
		args = append([]string{"--conf=" + r.o.SystemConf}, args...)
	}
	out, err := r.tool(ctx, args...)
	if err != nil {
		return Info{}, err
	}
	return infoFromJSON(out)
}

// infoFromJSON reads what `rauc info --output-format=json` writes.
func infoFromJSON(text []byte) (Info, error) {
	var raw struct {
		Compatible, Version, Description, Build string
		Images                                  []map[string]struct {
			Variant, Filename, Checksum string
			Size                        int64
		}
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return Info{}, fmt.Errorf("read the answer of rauc info: %w", err)
	}
	info := Info{Compatible: raw.Compatible, Version: raw.Version, Description: raw.Description, Build: raw.Build}
	for _, images := range raw.Images {
		for class, image := range images {
			info.Images = append(info.Images, Image{Class: class, Variant: image.Variant,
				Filename: image.Filename, SHA256: strings.ToLower(image.Checksum), Size: image.Size})
		}
	}
	return info, info.checkTold()
}

// tool runs the program rauc and returns its standard output.
func (r *RAUC) tool(ctx context.Context, args ...string) ([]byte, error) {
	program := r.program()
	ctx, cancel := context.WithTimeout(ctx, r.limits.tool)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.WaitDelay = toolWaitDelay
	out, errs := &bounded{limit: MaxToolOutput}, &bounded{limit: MaxToolOutput}
	cmd.Stdout, cmd.Stderr = out, errs
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s %s: %w", program, args[0], ctx.Err())
	case out.over || errs.over:
		return nil, fmt.Errorf("%s %s: wrote more than %d bytes", program, args[0], MaxToolOutput)
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w: %s", program, args[0], err, lastLine(errs.buffer.Bytes()))
	}
	return out.buffer.Bytes(), nil
}

// toolWaitDelay is how long a program's pipes may stay open after its end.
const toolWaitDelay = 2 * time.Second

// errTooMuch ends a program that writes more than anybody reads.
var errTooMuch = errors.New("too much output")

// bounded takes in at most limit bytes.
type bounded struct {
	buffer bytes.Buffer
	limit  int
	over   bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.buffer.Len()+len(p) > b.limit {
		b.over = true
		return 0, errTooMuch
	}
	return b.buffer.Write(p)
}

// lastLine returns the last line with something in it, for an error message.
func lastLine(text []byte) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return cut(strings.TrimSpace(lines[len(lines)-1]), MaxField)
}
