// SPDX-License-Identifier: GPL-3.0-or-later

package systembus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// defaultAddress is the system bus where nothing else is said.
const defaultAddress = "unix:path=/run/dbus/system_bus_socket;unix:path=/var/run/dbus/system_bus_socket"

// Address is that of the system bus, and whether somebody chose it.
func Address() (address string, chosen bool) {
	if address := os.Getenv("DBUS_SYSTEM_BUS_ADDRESS"); address != "" {
		return address, true
	}
	return defaultAddress, false
}

// Sockets takes the sockets out of an address, one of each of its parts, which
// are to be tried in this order (specification, "Server Addresses"); an abstract
// one begins with @. The errors are those of parts that name none.
func Sockets(address string) (paths []string, errs []error) {
	for part := range strings.SplitSeq(address, ";") {
		path, err := socketPath(part)
		if err != nil {
			errs = append(errs, fmt.Errorf("bus address %.200q %w", part, err))
			continue
		}
		paths = append(paths, path)
	}
	return paths, errs
}

// socketPath is the socket of one part. Keys that are not known, such as guid, do not matter.
func socketPath(part string) (string, error) {
	list, ok := strings.CutPrefix(part, "unix:")
	if !ok {
		return "", errors.New("is no unix: address")
	}
	for pair := range strings.SplitSeq(list, ",") {
		key, value, _ := strings.Cut(pair, "=")
		if key != "path" && key != "abstract" {
			continue
		}
		value, err := unescape(value)
		if err == nil && value == "" {
			err = errors.New("names no socket")
		}
		if err == nil && key == "abstract" {
			value = "@" + value
		}
		return value, err
	}
	return "", errors.New("names no socket")
}

// unescape turns each %xx into the byte that it stands for.
func unescape(value string) (string, error) {
	if !strings.Contains(value, "%") {
		return value, nil
	}
	var b strings.Builder
	for i := 0; i < len(value); i++ {
		c := value[i]
		if c == '%' {
			if i+2 >= len(value) || unhex(value[i+1]) > 15 || unhex(value[i+2]) > 15 {
				return "", errors.New("has a % without two digits")
			}
			c = unhex(value[i+1])<<4 | unhex(value[i+2])
			i += 2
		}
		b.WriteByte(c)
	}
	return b.String(), nil
}

// unhex is the value of a digit; more than 15 where it is none.
func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// Dial connects to the first of the address's sockets at which that works. ctx
// bounds the beginning, not the connection.
func Dial(ctx context.Context, address string, o Options) (*Conn, error) {
	paths, errs := Sockets(address)
	for _, path := range paths {
		socket, err := open(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		c, err := New(ctx, socket, o)
		if err == nil {
			return c, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", path, err))
	}
	return nil, errors.Join(errs...)
}
