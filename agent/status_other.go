// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !linux

package agent

// Alive is the agent's own word: it does not run on this system.
func (st Status) Alive() bool { return st.Running }

func kernelBootID() string { return "" }

func birth(int) uint64 { return 0 }
