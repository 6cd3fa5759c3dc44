// SPDX-License-Identifier: GPL-3.0-or-later

package installer

import (
	"context"
	"fmt"
	"strings"
)

// version is RAUC's, major and minor.
type version [2]int

func (v version) atLeast(w version) bool { return v[0] > w[0] || v[0] == w[0] && v[1] >= w[1] }

// version asks the program for its version, since the service does not tell
// its own; it is zero where that cannot be learnt.
func (r *RAUC) version(ctx context.Context) version {
	out, err := r.tool(ctx, "--version")
	if err != nil {
		return version{}
	}
	return parseVersion(string(out))
}

// parseVersion reads "rauc 1.8" or "rauc 1.11.3-12-gabcdef".
func parseVersion(text string) version {
	var v version
	text = strings.TrimPrefix(strings.TrimSpace(text), "rauc ")
	if n, _ := fmt.Sscanf(text, "%d.%d", &v[0], &v[1]); n != 2 {
		return version{}
	}
	return v
}

// has reports whether this version of RAUC has a method.
func (s *session) has(ctx context.Context, method string) bool {
	var text string
	err := s.call(ctx, s.rauc, "org.freedesktop.DBus.Introspectable.Introspect", nil, &text)
	return err == nil && strings.Contains(text, `"`+method+`"`)
}
