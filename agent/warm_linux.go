// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"context"
	"io"
	"os"
	"time"
)

// warmAfter is how long after its start, which is mostly within a boot, the
// agent leaves the disk to others.
const warmAfter = 10 * time.Second

// warm has the kernel read this program from the disk while nobody waits, all
// of it: what a stick needs of it was mostly never run before, and an eMMC that
// slept takes milliseconds for each part. The memory is the page cache's, which
// gives it to whoever needs it more.
func warm(ctx context.Context) {
	if !sleep(ctx, warmAfter) {
		return
	}
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		return
	}
	defer f.Close()
	_, _ = io.Copy(io.Discard, f)
}
