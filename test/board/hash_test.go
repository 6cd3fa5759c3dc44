// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"usbagent/test/board/largescript"
	"usbagent/test/need"
)

// hashVariable asks for the measurement of hashing (make bench-hash); it names the
// page whose table is replaced, or is "-".
const hashVariable = "USBAGENT_PERFORMANCE_HASH"

const (
	hashRuns = 3
	// instructionRate is how many instructions the guest's clock makes a second.
	instructionRate = 500e6
	// hashGoal is what verification may cost, in openssl's two digests, and
	// hashMemory the bytes that it may have resident beside the script.
	hashGoal   = 1.25
	hashMemory = 8e6
)

// TestPerformanceOfHashing compares the verification of the largest scripts with
// openssl's digests and with the kernel's (AF_ALG), in instructions: the
// guest's clock counts them. Silicon's NEON unit is not measured: QEMU counts an
// instruction of it as one.
func TestPerformanceOfHashing(t *testing.T) {
	page := os.Getenv(hashVariable)
	if page == "" {
		need.Measurement(t, "make bench-hash")
	}
	s := newStation(t)
	b, err := Resume(s.fw, s.snap, func(b *Board) { b.args, b.Log = instructions, func(string, ...any) {} })
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Board: b, parts: parts{fw: s.fw}, t: t}
	defer b.Close()
	s.bringHashTools(r)
	table := hashTable{
		{name: "`openssl dgst -sha256`", role: reference, line: "openssl dgst -sha256 /run/large"},
		{name: "`openssl dgst -md5`", role: reference, line: "openssl dgst -md5 /run/large"},
	}
	const verify = "usbagent verify --keyring /etc/rauc/keyring.pem --signature /run/tools/%s.p7s /run/large"
	for i, k := range largescript.Kinds {
		role := goal
		if i >= usualKinds {
			role = bounded
		}
		table = append(table, hashRow{name: "`usbagent verify`: " + k.Text, role: role, kind: k.Name, line: fmt.Sprintf(verify, k.Name)})
	}
	table = append(table,
		hashRow{name: "`usbagent verify`: empty lines, with the signature of another script", role: bounded, kind: "newlines", line: fmt.Sprintf(verify, "archive"), status: 1},
		hashRow{name: "kernel (AF_ALG): SHA-256, file spliced", line: "afalg sha256 splice /run/large"},
		hashRow{name: "kernel (AF_ALG): SHA-256, bytes sent", line: "afalg sha256 send /run/large"},
		hashRow{name: "kernel (AF_ALG): MD5, bytes sent", line: "afalg md5 send /run/large"})
	r.sh("spend make " + largescript.Kinds[0].Name + " /run/large")
	for i := range table {
		r.spend(&table[i])
		t.Logf("%s: %s, %s resident", table[i].name, table[i].times(), megabytes(table[i].resident))
	}
	t.Logf("\n%s", table)
	if page != "-" {
		if err := ofHashing.replace(page, table.String()); err != nil {
			t.Fatal(err)
		}
	}
}

// bringHashTools puts on the board what measures, the signatures of the scripts, and
// the kernel's modules.
func (s *station) bringHashTools(r *rig) {
	s.t.Helper()
	var files []File
	for _, name := range []string{"spend", "afalg"} {
		program := filepath.Join(s.t.TempDir(), name)
		if err := goBuild(program, "arm", "usbagent/test/board/"+name); err != nil {
			s.t.Fatal(err)
		}
		files = append(files, File{Name: name, Path: program})
	}
	for _, k := range largescript.Kinds {
		content, err := io.ReadAll(k.Script())
		if err != nil {
			s.t.Fatal(err)
		}
		p7s := signed(s.t, s.fw.PKI.Vendor, "autorun.sh", content)[1].Data
		files = append(files, File{Name: k.Name + ".p7s", Data: p7s})
	}
	for _, name := range []string{"crypto/af_alg", "crypto/algif_hash", "arch/arm/crypto/sha256-arm"} {
		trees := filepath.Join(filepath.Dir(filepath.Dir(s.fw.Kernel)), "*", "root/lib/modules/*/kernel")
		found, _ := filepath.Glob(filepath.Join(trees, name+".ko"))
		if len(found) > 0 {
			files = append(files, File{Name: filepath.Base(name) + ".ko", Path: found[0]})
		}
	}
	path := filepath.Join(r.dir, "tools.img")
	if err := WriteStick(path, "disk", Part{FileSystem: FileSystem{Type: "ext2", Files: files}}); err != nil {
		s.t.Fatal(err)
	}
	r.plug(NewStick(path))
	r.sh(`systemctl stop usbagent
i=0; while [ ! -b /dev/sda ]; do i=$((i+1)); [ $i -lt 300 ]; sleep 0.1; done
mkdir -p /run/tools; mount -o ro /dev/sda /run/tools; install -m 755 /run/tools/afalg /run/tools/spend /usr/local/bin
for m in af_alg algif_hash sha256-arm; do insmod /run/tools/$m.ko || :; done`)
}

// spend measures a row, with its own script where it has one.
func (r *rig) spend(row *hashRow) {
	r.t.Helper()
	if row.kind != "" {
		r.sh("spend make " + row.kind + " /run/large")
	}
	for range hashRuns {
		var nanoseconds, kilobytes int64
		var status int
		out := r.long("spend run " + row.line)
		if _, err := fmt.Sscan(out, &nanoseconds, &kilobytes, &status); err != nil || status != row.status {
			r.t.Fatalf("%s: %q: %v", row.name, out, err)
		}
		row.seconds = append(row.seconds, float64(nanoseconds)/1e9)
		row.resident = max(row.resident, kilobytes<<10)
	}
}

// long is sh for a line that may take a quarter of an hour here.
func (r *rig) long(line string) string {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	status, out, err := r.Run(ctx, "sh", "-c", line)
	if err != nil || status != 0 {
		r.t.Fatalf("%s: status %d, %v: %s", line, status, err, out)
	}
	return strings.TrimSpace(out)
}

// usualKinds is how many of the large scripts, from the first on, are such as
// people make; the goal is about these.
const usualKinds = 3

// role is what a row of the table is for.
type role int

const (
	alongside role = iota // to compare with
	reference             // what the others are compared with: all of them together
	goal                  // is to meet the goals
	bounded               // need not
)

// hashRow is a command and what it spent.
type hashRow struct {
	name, line string
	kind       string // of the script that is made for it; empty: the one before
	role       role
	status     int // exit status that is expected
	seconds    []float64
	resident   int64 // bytes, at most
}

func (r hashRow) median() float64 {
	sorted := slices.Sorted(slices.Values(r.seconds))
	return sorted[len(sorted)/2]
}

func (r hashRow) times() string {
	var list []string
	for _, s := range r.seconds {
		list = append(list, fmt.Sprintf("%.3f s = %.0f million instructions", s, s*instructionRate/1e6))
	}
	return strings.Join(list, ", ")
}

// hashTable is what stands in the page.
type hashTable []hashRow

func (t hashTable) String() string {
	var b strings.Builder
	var both, worst float64
	var memory int64
	for _, r := range t {
		if r.role == reference {
			both += r.median()
		}
	}
	fmt.Fprintf(&b, "Medians of %d runs each.\n\n| %d bytes, once | million instructions | for a byte | of openssl's two | resident at most |\n|---|---|---|---|---|\n",
		len(t[0].seconds), largescript.Size)
	row := func(name string, seconds float64, resident string) {
		fmt.Fprintf(&b, "| %s | %.0f | %.1f | %.2f | %s |\n", name, seconds*instructionRate/1e6, seconds*instructionRate/largescript.Size, seconds/both, resident)
	}
	for i, r := range t {
		row(r.name, r.median(), megabytes(r.resident))
		if r.role == reference && t[i+1].role != reference {
			row("both", both, "")
		}
		if r.role == goal {
			worst, memory = max(worst, r.median()/both), max(memory, r.resident)
		}
	}
	fmt.Fprintf(&b, "\nThe goal, %.2f times openssl's instructions for such scripts as people make (the first %d), is %s (%.2f); that of %s beside the script is %s (%s).\n",
		hashGoal, usualKinds, met(worst <= hashGoal), worst, megabytes(hashMemory), met(memory <= largescript.Size+hashMemory), megabytes(memory-largescript.Size))
	return b.String()
}

func met(ok bool) string {
	if ok {
		return "met"
	}
	return "missed"
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

func TestHashTable(t *testing.T) {
	table := hashTable{
		{name: "a", role: reference, seconds: []float64{3, 1, 2}, resident: 1e6},
		{name: "b", role: reference, seconds: []float64{6, 6, 6}},
		{name: "c", role: goal, seconds: []float64{9, 9, 9}, resident: largescript.Size + 7e6},
		{name: "d", role: bounded, seconds: []float64{16, 16, 16}, resident: largescript.Size + 9e6},
	}
	for _, want := range []string{"| a | 1000 | 14.9 | 0.25 | 1.0 MB |", "| both | 4000 | 59.6 | 1.00 |  |", "| d | 8000 | 119.2 | 2.00 | 76.1 MB |",
		"is met (1.12); that of 8.0 MB beside the script is met (7.0 MB)"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
	table[2].seconds, table[2].resident = []float64{10.5, 10.5, 10.5}, table[3].resident
	if want := "is missed (1.31); that of 8.0 MB beside the script is missed (9.0 MB)"; !strings.Contains(table.String(), want) {
		t.Errorf("no %q in\n%s", want, table)
	}
}
