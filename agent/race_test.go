// SPDX-License-Identifier: GPL-3.0-or-later

//go:build race

package agent_test

// raceDetector says whether the tests, and so the daemon under test, are built with it.
const raceDetector = true
