// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"usbagent/internal/sockets"
)

// What the service manager is told (sd_notify(3)).
const (
	stateReady    = "READY=1"
	stateStopping = "STOPPING=1"
	stateAlive    = "WATCHDOG=1"
)

// notify tells the service manager, where there is one: in one datagram to the
// socket that NOTIFY_SOCKET names, a path or an abstract one with an @.
func notify(state string) error {
	address := os.Getenv("NOTIFY_SOCKET")
	if address == "" {
		return nil
	}
	conn, err := sockets.DialDatagram(address)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte(state))
	return err
}

// watchdog is the time within which the service manager wants to hear of this
// process, 0 where it does not (sd_watchdog_enabled(3)).
func watchdog() (time.Duration, error) {
	text, of := os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID")
	if text == "" || of != "" && of != strconv.Itoa(os.Getpid()) {
		return 0, nil
	}
	usec, err := strconv.ParseInt(text, 10, 64)
	if err != nil || usec <= 0 || usec > int64(time.Duration(1<<63-1)/time.Microsecond) {
		return 0, fmt.Errorf("WATCHDOG_USEC is %.32q", text)
	}
	return time.Duration(usec) * time.Microsecond, nil
}
