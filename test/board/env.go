// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"sort"
	"strconv"
	"strings"
)

// envSize is the size of the U-Boot environment, as in /etc/fw_env.config.
const envSize = 0x4000

// Environment is U-Boot's: a CRC and NUL-terminated assignments.
type Environment map[string]string

// factoryEnvironment is what the boot loader starts with on a new card.
func factoryEnvironment() Environment {
	return Environment{"BOOT_ORDER": "A B", "BOOT_A_LEFT": "3", "BOOT_B_LEFT": "3"}
}

// readEnvironment reads the environment from the card; one that a power cut
// left half written counts as the factory's, as U-Boot's compiled-in one does.
func readEnvironment(card string) (Environment, error) {
	f, err := os.Open(card)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	block := make([]byte, envSize)
	if _, err := f.ReadAt(block, envStart); err != nil {
		return nil, fmt.Errorf("read the boot loader's environment: %w", err)
	}
	if crc32.ChecksumIEEE(block[4:]) != binary.LittleEndian.Uint32(block) {
		return factoryEnvironment(), nil
	}
	env := Environment{}
	for _, assignment := range strings.Split(string(block[4:]), "\x00") {
		if name, value, ok := strings.Cut(assignment, "="); ok {
			env[name] = value
		}
	}
	return env, nil
}

// write stores the environment on the card.
func (e Environment) write(card string) error {
	var list []string
	for name, value := range e {
		list = append(list, name+"="+value)
	}
	sort.Strings(list)
	block := make([]byte, envSize)
	if copy(block[4:], strings.Join(list, "\x00")) > envSize-6 {
		return fmt.Errorf("write the boot loader's environment: more than %d bytes", envSize)
	}
	binary.LittleEndian.PutUint32(block, crc32.ChecksumIEEE(block[4:]))
	f, err := os.OpenFile(card, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteAt(block, envStart)
	return err
}

// bootLoader does what the board's U-Boot script does: it takes the first slot
// of BOOT_ORDER with attempts left, uses one up, and says which it was.
func bootLoader(card string) (slot string, err error) {
	env, err := readEnvironment(card)
	if err != nil {
		return "", err
	}
	for _, name := range strings.Fields(env["BOOT_ORDER"]) {
		left, err := strconv.ParseInt(env["BOOT_"+name+"_LEFT"], 0, 32)
		if err != nil || left <= 0 {
			continue
		}
		env["BOOT_"+name+"_LEFT"] = strconv.FormatInt(left-1, 10)
		return name, env.write(card)
	}
	env = factoryEnvironment() // as the script does when every attempt is used up
	env["BOOT_A_LEFT"] = "2"
	return "A", env.write(card)
}
