// SPDX-License-Identifier: GPL-3.0-or-later

// Package wire is the protocol between a test and the small program guestd in
// the emulated board: one JSON object a line over a serial port. The host
// asks, the guest answers with the same ID, in any order. It trusts both ends
// and has no place on a real board.
package wire

// MaxChunk is how many bytes of a file one request may carry towards the
// guest: the serial port has no flow control, so what is under way has to fit
// the terminal's buffer of 4096 bytes in base64.
const MaxChunk = 2048

// MaxOutput is how much of a command's output or of a file one answer carries.
const MaxOutput = 4 << 20

// Request is one thing the guest shall do.
type Request struct {
	ID uint64 `json:"id"`
	// Op is "exec", "read", "write" (append at Offset) or "list".
	Op     string   `json:"op"`
	Argv   []string `json:"argv,omitempty"`
	Path   string   `json:"path,omitempty"`
	Data   []byte   `json:"data,omitempty"`
	Offset int64    `json:"offset,omitempty"`
	Mode   uint32   `json:"mode,omitempty"`
}

// Reply is the answer to the request of the same ID.
type Reply struct {
	ID uint64 `json:"id"`
	// Answer is always set: a terminal that is not in raw mode yet sends
	// requests back, and those are no replies.
	Answer bool   `json:"answer"`
	Status int    `json:"status"`
	Out    []byte `json:"out,omitempty"`
	// Error says why the operation itself was not done.
	Error string `json:"error,omitempty"`
	// Missing is set where the error is that the path does not exist.
	Missing bool `json:"missing,omitempty"`
}
