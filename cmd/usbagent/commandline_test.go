// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// line is a small command line with flags of every kind, and what they were
// set to.
type line struct {
	Text, Purpose, Operand string
	N                      int
	All, Long              bool
	List                   []string
}

func (l *line) command() *command {
	l.Text, l.Purpose, l.N = "standard", "one", 10
	do := leaf("do [flags] [FILE]", "Do it.", onBoard, func() error { return nil })
	operand(do, &l.Operand, "FILE", "what to do it to", 0)
	flag{"text", "t", "FILE", "A text."}.text(do, &l.Text)
	flag{"purpose", "", "PURPOSE", "A choice."}.choice(do, &l.Purpose, "one", "two")
	flag{"number", "n", "N", "A number."}.number(do, &l.N)
	flag{"all", "a", "", "A toggle."}.toggle(do, &l.All)
	flag{"long", "l", "", "Another."}.toggle(do, &l.Long)
	flag{"list", "", "TEXT", "A list."}.list(do, &l.List)
	need := leaf("need --key FILE --cert FILE [flags]", "Need flags.", atDesk, func() error { return nil })
	flag{"key", "", "FILE", "A key."}.text(need, new(string))
	flag{"cert", "", "FILE", "A certificate."}.text(need, new(string))
	flag{"secret", "", "FILE", "No help names it."}.text(need, new(string))
	require(need, "key", "cert")
	hide(need, "secret")
	root := parent("program", "A program.", "")
	root.add(do, parent("more", "More commands.", atDesk, need), helpCommand(root))
	root.offerHelp()
	return root
}

func TestParse(t *testing.T) {
	standard := line{Text: "standard", Purpose: "one", N: 10}
	for _, c := range []struct {
		args string
		want func(*line)
	}{
		{"do", func(*line) {}},
		{"do x", func(l *line) { l.Operand = "x" }},
		{"do -- --all", func(l *line) { l.Operand = "--all" }},
		{"do -", func(l *line) { l.Operand = "-" }},
		{"do --text=a=b --all x", func(l *line) { l.Text, l.All, l.Operand = "a=b", true, "x" }},
		{"do x --text --all", func(l *line) { l.Text, l.Operand = "--all", "x" }},
		{"--text a do -n 3", func(l *line) { l.Text, l.N = "a", 3 }},
		{"--text=a do -n=3", func(l *line) { l.Text, l.N = "a", 3 }},
		{"do -aln-3", func(l *line) { l.All, l.Long, l.N = true, true, -3 }},
		{"do -a=true -l=false --long=0", func(l *line) { l.All = true }},
		{"do --text=", func(l *line) { l.Text = "" }},
		{"do --purpose two --list a,b --list c", func(l *line) { l.Purpose, l.List = "two", []string{"a,b", "c"} }},
	} {
		var got line
		want := standard
		c.want(&want)
		cmd, err := got.command().parse(strings.Fields(c.args))
		if err != nil || cmd.path() != "program do" || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %+v, %v, want %+v", c.args, got, err, want)
		}
	}
}

func TestWrongUsage(t *testing.T) {
	for args, want := range map[string]string{
		"":                   "expected one of do, more, help",
		"more":               "expected one of need",
		"frob":               `unknown command "frob"`,
		"nope":               `unknown command "nope", is "more" meant?`,
		"DOO":                `unknown command "DOO", is "do" meant?`,
		"more nee":           `unknown command "nee", is "need" meant?`,
		"help frob":          `unknown command "frob"`,
		"help more x":        `unknown command "x"`,
		"do a b":             `unexpected argument "b"`,
		"more need a":        `unexpected argument "a"`,
		"more need":          `required flag(s) "key", "cert" not set`,
		"more need --key a":  `required flag(s) "cert" not set`,
		"do --nope=1":        "unknown flag: --nope",
		"do --tex a":         "unknown flag: --tex",
		"do --all --text":    "flag needs an argument: --text",
		"do -at":             "flag needs an argument: 't' in -t",
		"do -xa":             "unknown shorthand flag: 'x' in -xa",
		"do -\xff":           "unknown shorthand flag: 'ÿ' in -\xff",
		"do --=a":            "bad flag syntax: --=a",
		"do ---a":            "bad flag syntax: ---a",
		"do -n x":            `invalid argument "x" for "-n, --number" flag: "x" is no number`,
		"do --number=":       `invalid argument "" for "-n, --number" flag: "" is no number`,
		"do --all=maybe":     `invalid argument "maybe" for "-a, --all" flag: strconv.ParseBool: parsing "maybe": invalid syntax`,
		"do --purpose three": `invalid argument "three" for "--purpose" flag: must be one of one, two, not "three"`,
		"do --help --nope":   "unknown flag: --nope",
		"--all do":           "unknown flag: --all",
		"more --key need":    "unknown flag: --key",
	} {
		if cmd, err := new(line).command().parse(strings.Fields(args)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, %v, want %s", args, cmd, err, want)
		}
	}
}

func TestHelpText(t *testing.T) {
	root := new(line).command()
	for args, want := range map[string]string{
		"do": `Usage: program do [flags] [FILE]

Do it.

Argument:
  FILE   what to do it to

Flags:
  -t, --text FILE         A text. (default standard)
      --purpose PURPOSE   A choice. (default one)
  -n, --number N          A number. (default 10)
  -a, --all               A toggle.
  -l, --long              Another.
      --list TEXT         A list.
  -h, --help              Show this help.
`,
		"more": `Usage: program more COMMAND

More commands.

At the desk:
  need  Need flags.

Flags:
  -h, --help   Show this help.

"program more COMMAND --help" tells more about a command.
`,
		"more need": `Usage: program more need --key FILE --cert FILE [flags]

Need flags.

Flags:
      --key FILE    A key.
      --cert FILE   A certificate.
  -h, --help        Show this help.
`,
	} {
		found, _ := root.find(strings.Fields(args))
		if got := found.helpText(); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", args, got, want)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", []string{""}},
		{"short", []string{"short"}},
		{"twenty bytes in a row", []string{"twenty bytes", "in a row"}},
		{"exactly twenty bytes", []string{"exactly twenty bytes"}},
		{"withoutanyblankinalltheline it goes on", []string{"withoutanyblankinalltheline it goes on"}},
		{"a b c d e f g h i j k l m n", []string{"a b c d e f g", "h i j k l m n"}},
	} {
		if got := wrap(c.text, 20); !slices.Equal(got, c.want) {
			t.Errorf("wrap(%q) = %q, want %q", c.text, got, c.want)
		}
	}
}

func TestComplete(t *testing.T) {
	for _, c := range []struct {
		args  []string
		want  string // the words without what they mean
		files bool
	}{
		{[]string{""}, "do more help", false},
		{[]string{"m"}, "more", false},
		{[]string{"more", ""}, "need", false},
		{[]string{"nope", ""}, "", true},
		{[]string{"do", ""}, "", true},
		{[]string{"do", "--t"}, "--text", false},
		{[]string{"do", "--text", "x", "--t"}, "", false},
		{[]string{"do", "--list", "x", "--li"}, "--list", false},
		{[]string{"do", "-a", "-"}, "--text -t --purpose --number -n --long -l --list --help -h", false},
		{[]string{"do", "--text", ""}, "", true},
		{[]string{"do", "--text="}, "", true},
		{[]string{"do", "-at", ""}, "", true},
		{[]string{"do", "--purpose", ""}, "one two", false},
		{[]string{"do", "--purpose=t"}, "two", false},
		{[]string{"do", "--purpose", "nope", "--purpose=t"}, "two", false},
		{[]string{"do", "--", "--t"}, "", true},
		{[]string{"do", "--nope", ""}, "", true},
		{[]string{"more", "need", ""}, "--key --cert", true},
		{[]string{"more", "need", "--key", "x", "-"}, "--cert", false},
		{[]string{"more", "need", "--key", "x", "--cert", "y", "-"}, "--help -h", false},
		{[]string{"help", ""}, "do more help", false},
		{[]string{"help", "more", "n"}, "need", false},
		{[]string{"help", "nope", ""}, "", false},
	} {
		words, files := new(line).command().complete(c.args)
		for i, w := range words {
			words[i], _, _ = strings.Cut(w, "\t")
		}
		if got := strings.Join(words, " "); got != c.want || files != c.files {
			t.Errorf("%q: %q, %v, want %q, %v", c.args, got, files, c.want, c.files)
		}
	}
}
