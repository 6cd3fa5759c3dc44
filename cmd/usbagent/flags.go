// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// flag is what a flag is, apart from its type.
type flag struct{ long, short, value, help string }

// text adds a flag that takes a text; *p holds its default.
func (f flag) text(cmd *cobra.Command, p *string) {
	cmd.Flags().VarP(&value{kind: f.value, text: p}, f.long, f.short, f.help)
}

// choice adds a flag that takes one of the words; *p holds its default.
func (f flag) choice(cmd *cobra.Command, p *string, words ...string) {
	cmd.Flags().VarP(&value{kind: f.value, text: p, words: words}, f.long, f.short, f.help)
	offer(cmd, f.long, words)
}

// number adds a flag that takes a number; *p holds its default.
func (f flag) number(cmd *cobra.Command, p *int) {
	cmd.Flags().VarP((*number)(p), f.long, f.short, f.help)
}

// toggle adds a flag that is there or not.
func (f flag) toggle(cmd *cobra.Command, p *bool) {
	cmd.Flags().BoolVarP(p, f.long, f.short, false, f.help)
}

// list adds a flag that may be there several times.
func (f flag) list(cmd *cobra.Command, p *[]string) {
	cmd.Flags().VarP(&repeated{kind: f.value, texts: p}, f.long, f.short, f.help)
}

// require marks flags as required; hide keeps them out of the help. Both are
// for flags that the command has, so there is no error to look at.
func require(cmd *cobra.Command, names ...string) {
	for _, name := range names {
		_ = cmd.MarkFlagRequired(name)
	}
}

func hide(cmd *cobra.Command, names ...string) {
	for _, name := range names {
		_ = cmd.Flags().MarkHidden(name)
	}
}

// offer completes a flag with these words.
func offer(cmd *cobra.Command, name string, words []string) {
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}

// value is a text of a flag (pflag.Value); where there are words, one of them.
type value struct {
	kind  string // how the help names it
	text  *string
	words []string
}

func (v *value) String() string {
	if v.text == nil {
		return ""
	}
	return *v.text
}

func (v *value) Type() string { return v.kind }

func (v *value) Set(text string) error {
	if err := oneOf(v.words, text); err != nil {
		return err
	}
	*v.text = text
	return nil
}

// oneOf is nil when text is among words, or where there are none.
func oneOf(words []string, text string) error {
	if len(words) > 0 && !slices.Contains(words, text) {
		return fmt.Errorf("must be one of %s, not %q", strings.Join(words, ", "), text)
	}
	return nil
}

// number is a number of a flag (pflag.Value).
type number int

func (n *number) String() string { return strconv.Itoa(int(*n)) }
func (n *number) Type() string   { return "N" }

func (n *number) Set(text string) error {
	parsed, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("%q is no number", text)
	}
	*n = number(parsed)
	return nil
}

// repeated is a flag that may be there several times (pflag.Value). Commas are
// nothing special in it.
type repeated struct {
	kind  string
	texts *[]string
}

func (r *repeated) String() string { return "" }
func (r *repeated) Type() string   { return r.kind }

func (r *repeated) Set(text string) error {
	*r.texts = append(*r.texts, text)
	return nil
}
