// SPDX-License-Identifier: GPL-3.0-or-later

package advice

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"os/exec"
	"strings"
	"time"
)

// MaxScript is how many bytes of a script are looked at.
const MaxScript = 1 << 20

// shellTimeout bounds the syntax check by a shell.
const shellTimeout = 5 * time.Second

// script looks at the script as text; its signature is the board's business.
func (l *looker) script() {
	text, whole := l.readScript()
	if len(text) == 0 {
		return
	}
	first, _, _ := bytes.Cut(text, []byte("\n"))
	resign := "; sign it again afterwards"
	switch {
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")):
		l.add(Warning, scriptName, "it begins with a byte order mark, which the shell takes for a command", "save it as UTF-8 without BOM"+resign)
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")):
		l.add(Warning, scriptName, "it is UTF-16, which no shell reads", "save it as UTF-8 without BOM"+resign)
		return
	case !bytes.HasPrefix(text, []byte("#!")):
		l.add(Note, scriptName, "it has no #! line", "begin it with #!/bin/sh, so that everybody sees what it is"+resign)
	case !bytes.Equal(bytes.TrimSpace(first[2:]), []byte("/bin/sh")):
		l.add(Note, scriptName, "its first line names another program, but a board runs it with /bin/sh", "use what /bin/sh knows, or have the script start the other program")
	}
	if bytes.Contains(text, []byte("\r\n")) {
		l.add(Warning, scriptName, "it has the line ends of Windows (CR LF); the shell takes the CR as part of each command", "save it with LF line ends"+resign)
		return
	}
	if whole {
		if complaint := shellComplaint(text); complaint != "" {
			l.add(Warning, scriptName, "a shell cannot read it: "+complaint, "mend it"+resign)
		}
	}
}

// readScript returns the beginning of the script and whether that is all.
func (l *looker) readScript() (text []byte, whole bool) {
	name := scriptName
	if !l.there[name] && l.fold {
		for other := range l.there {
			if strings.EqualFold(other, scriptName) {
				name = other
			}
		}
	}
	if info, err := fs.Stat(l.root, name); err != nil || !info.Mode().IsRegular() {
		return nil, false
	}
	f, err := l.root.Open(name)
	if err != nil {
		return nil, false
	}
	defer f.Close()
	text, err = io.ReadAll(io.LimitReader(f, MaxScript+1))
	return text, err == nil && len(text) <= MaxScript
}

// shellComplaint has a shell, where there is one, read the script without
// running it, and returns the first line of what it says against it.
func shellComplaint(text []byte) string {
	shell, err := exec.LookPath("sh")
	if err != nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), shellTimeout)
	defer cancel()
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, shell, "-n")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(text), &said
	if cmd.Run() == nil || said.Len() == 0 {
		return ""
	}
	line, _, _ := strings.Cut(said.String(), "\n")
	return strings.TrimPrefix(strings.TrimPrefix(line, shell+": "), "sh: ")
}
