// SPDX-License-Identifier: GPL-3.0-or-later

package systembus

import "usbagent/internal/sockets"

func open(path string) (Socket, error) {
	conn, err := sockets.Dial(path)
	if err != nil {
		return nil, err // and no Socket that is nil
	}
	return conn, nil
}
