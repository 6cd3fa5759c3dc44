// SPDX-License-Identifier: GPL-3.0-or-later

package led

import (
	"fmt"
	"slices"
	"strings"
)

// maxPin is the highest GPIO of a BCM2835 and its successors.
const maxPin = 53

// rpioSoCs are the only chips whose registers go-rpio knows. On any other it
// would map and write whatever lies at those addresses.
var rpioSoCs = []string{"brcm,bcm2835", "brcm,bcm2836", "brcm,bcm2837", "brcm,bcm2711"}

// knownSoC fails on every board but those that go-rpio was made for. The list
// of the device tree names the board first and its chip last.
func knownSoC(root string) error {
	compatible := strings.Split(strings.TrimRight(property(root, "compatible"), "\x00"), "\x00")
	if slices.ContainsFunc(compatible, func(c string) bool { return slices.Contains(rpioSoCs, c) }) {
		return nil
	}
	return fmt.Errorf("rpio is for the Raspberry Pi only: this board is %.128q", compatible)
}
