// SPDX-License-Identifier: GPL-3.0-or-later

package largescript

import (
	"bytes"
	"io"
	"testing"

	"usbagent/autorun"
)

func TestKinds(t *testing.T) {
	for _, k := range Kinds {
		script, err := io.ReadAll(k.Script())
		if err != nil || len(script) != Size {
			t.Fatalf("%s: %d bytes, %v", k.Name, len(script), err)
		}
		if err := autorun.CheckScript(script); err != nil {
			t.Errorf("%s: %v", k.Name, err)
		}
		said, err := autorun.ParseDirectives(script)
		if err != nil || (said.Run != "") != (k.Name == "last") {
			t.Errorf("%s: %+v, %v", k.Name, said, err)
		}
		again, err := Find(k.Name)
		if head := make([]byte, 4096); err != nil || !bytes.HasPrefix(script, read(again, head)) {
			t.Errorf("%s is not the same again, %v", k.Name, err)
		}
	}
	if _, err := Find("none"); err == nil {
		t.Error("there is a kind called none")
	}
}

func read(k Kind, head []byte) []byte {
	io.ReadFull(k.Script(), head)
	return head
}
