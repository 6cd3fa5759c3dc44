// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"fmt"
	"strings"
)

// Model is what the board's device tree says it is.
const Model = "chargebyte Tarragon Master"

// The yellow LED: line 15 of GPIO3, whose data register QEMU's monitor reads.
const (
	ledRegister = 0x20a4000
	ledBit      = 1 << 15
	gpio3       = "/soc/bus@2000000/gpio@20a4000"
	gpio3Handle = "0x7f"
)

// disabledNodes are devices of the evaluation kit that QEMU lacks or that the
// board has no use for; each costs a driver's timeout at boot.
var disabledNodes = []string{
	"/soc/bus@2000000/snvs@20cc000/snvs-rtc-lp", // the board has no clock to trust
	"/soc/bus@2000000/snvs@20cc000/snvs-powerkey",
	"/soc/bus@2000000/spba-bus@2000000/sai@202c000",
	"/soc/bus@2000000/spba-bus@2000000/asrc@2034000",
	"/soc/bus@2000000/tsc@2040000",
	"/soc/bus@2000000/pwm@2080000",
	"/soc/bus@2000000/can@2090000",
	"/soc/bus@2000000/can@2094000",
	"/soc/bus@2000000/ethernet@20b4000",
	"/soc/bus@2100000/ethernet@2188000",
	"/soc/bus@2100000/i2c@21a0000",
	"/soc/bus@2100000/i2c@21a4000",
	"/soc/bus@2100000/csi@21c4000",
	"/soc/bus@2100000/lcdif@21c8000",
	"/soc/bus@2100000/spi@21e0000",
	"/backlight-display",
	"/spi-4",
	"/sound-wm8960",
	"/panel",
}

// patchDeviceTree turns the evaluation kit's tree into the board's: model,
// LED, and two soldered cards (the board's eMMC and the base system).
func patchDeviceTree(dtb string) error {
	const (
		leds  = "/leds"
		led   = "/leds/led-programming"
		card  = "/soc/bus@2100000/mmc@2190000"
		base  = "/soc/bus@2100000/mmc@2194000"
		uart2 = "/soc/bus@2100000/serial@21e8000"
	)
	edits := [][]string{
		{"-t", "s", dtb, "/", "model", Model},
		{"-t", "x", dtb, gpio3, "phandle", gpio3Handle},
		{"-c", dtb, leds},
		{"-t", "s", dtb, leds, "compatible", "gpio-leds"},
		{"-c", dtb, led},
		{"-t", "s", dtb, led, "label", "yellow:programming"},
		{"-t", "x", dtb, led, "gpios", gpio3Handle, "f", "0"},
		{dtb, card, "no-1-8-v"},
		{dtb, card, "non-removable"},
		{"-d", dtb, card, "cd-gpios"},
		{dtb, base, "no-1-8-v"},
		{dtb, base, "non-removable"},
		{"-d", dtb, uart2, "uart-has-rtscts"},
	}
	for _, node := range disabledNodes {
		edits = append(edits, []string{"-t", "s", dtb, node, "status", "disabled"})
	}
	for _, edit := range edits {
		if err := command(nil, "fdtput", edit...); err != nil {
			return fmt.Errorf("patch the device tree (%s): %w", strings.Join(edit, " "), err)
		}
	}
	return nil
}
