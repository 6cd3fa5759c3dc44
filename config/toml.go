// SPDX-License-Identifier: GPL-3.0-or-later

package config

import (
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// position is a place in the file, both from 1; 0 is nowhere.
type position struct{ line, column int }

// entry is one "key = value" with its full name ("mount.root").
type entry struct {
	name  string
	at    position
	value value
}

// value is what stands to the right of the equals sign.
type value struct {
	kind unstable.Kind
	text string  // of scalars: strings unescaped, the rest as written
	list []value // of arrays
}

// walk lists the entries of text, which is TOML, in the order of the file.
func walk(text []byte) []entry {
	var w walker
	w.parser.Reset(text)
	var table []string
	for w.parser.NextExpression() {
		node := w.parser.Expression()
		switch node.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = names(node)
			if node.Kind == unstable.ArrayTable {
				table = append(table, "[]") // no key of ours is in a list of tables
			}
		case unstable.KeyValue:
			w.add(table, node)
		}
	}
	return w.entries
}

type walker struct {
	parser  unstable.Parser
	entries []entry
}

// add appends what node sets below the table prefix; the keys of an inline
// table count each.
func (w *walker) add(prefix []string, node *unstable.Node) {
	path := append(prefix[:len(prefix):len(prefix)], names(node)...)
	if v := node.Value(); v.Kind == unstable.InlineTable {
		for it := v.Children(); it.Next(); {
			w.add(path, it.Node())
		}
		return
	}
	it := node.Key()
	it.Next()
	start := w.parser.Shape(it.Node().Raw).Start
	w.entries = append(w.entries, entry{strings.Join(path, "."), position{start.Line, start.Column}, valueOf(node.Value())})
}

// names are the parts of a key; one with a dot in it is in quotes, since
// "mount.root" in quotes is not root in mount.
func names(node *unstable.Node) []string {
	list := parts(node)
	for i, name := range list {
		if strings.Contains(name, ".") {
			list[i] = strconv.Quote(name)
		}
	}
	return list
}

func valueOf(node *unstable.Node) value {
	v := value{kind: node.Kind, text: string(node.Data)}
	if node.Kind == unstable.Array {
		for it := node.Children(); it.Next(); {
			v.list = append(v.list, valueOf(it.Node()))
		}
	}
	return v
}
