// SPDX-License-Identifier: GPL-3.0-or-later

package installer

// RAUCOptions says how to reach RAUC; the zero value is right on a board.
type RAUCOptions struct {
	BusAddress string   // "" for DBUS_SYSTEM_BUS_ADDRESS or the usual one
	SystemConf string   // "" for DefaultSystemConf
	Program    string   // "" for rauc in PATH; only for what its D-Bus service does not offer
	Machine    *Machine // nil for one on the same bus
}

// RAUC is the backend that talks to RAUC's D-Bus service.
type RAUC struct{ o RAUCOptions }

// NewRAUC connects to nothing yet.
func NewRAUC(o RAUCOptions) *RAUC { return &RAUC{o} }
