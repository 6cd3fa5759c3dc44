// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"strings"
)

// CompletionCmd is "usbagent completion".
type CompletionCmd struct {
	Shell string `arg:"" name:"shell" enum:"bash,zsh,fish,powershell" help:"bash, zsh, fish or powershell."`
}

// Run prints the script that teaches a shell the command line.
func (c *CompletionCmd) Run() error {
	entries, err := model()
	if err != nil {
		return err
	}
	scripts := map[string]func([]entry) string{
		"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion, "powershell": powershellCompletion,
	}
	_, err = fmt.Print(scripts[c.Shell](entries))
	return err
}

// cases writes a shell's case statement: what follows each command, and the
// values that a flag can have.
func cases(entries []entry) string {
	var b strings.Builder
	for _, e := range entries {
		fmt.Fprintf(&b, "    %q) commands=%q flags=%q ;;\n", e.path, strings.Join(e.children, " "), strings.Join(e.words(), " "))
	}
	return b.String()
}

func paths(entries []entry) string {
	var known []string
	for _, e := range entries[1:] {
		known = append(known, fmt.Sprintf("%q", e.path))
	}
	return strings.Join(known, "|")
}

// values writes the cases of flags that have a fixed set of values.
func values(entries []entry, line string) string {
	seen := make(map[string]bool)
	var b strings.Builder
	for _, e := range entries {
		for _, f := range e.flags {
			if len(f.enum) > 0 && !seen[f.long] {
				seen[f.long] = true
				fmt.Fprintf(&b, line, f.long, strings.Join(f.enum, " "))
			}
		}
	}
	return b.String()
}

func bashCompletion(entries []entry) string {
	return fmt.Sprintf(`# bash completion for usbagent
_usbagent() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command="" commands="" flags="" word next
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    next="${command:+$command }$word"
    case $next in %s) command=$next ;; esac
  done
  case $command in
%s  esac
  COMPREPLY=()
  case $prev in
%s  esac
  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$cur"))
  elif [[ -n $commands ]]; then
    COMPREPLY=($(compgen -W "$commands" -- "$cur"))
  else
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
  fi
}
complete -F _usbagent usbagent
`, paths(entries), cases(entries), values(entries, "    --%s) COMPREPLY=($(compgen -W %q -- \"$cur\")); return ;;\n"))
}

func zshCompletion(entries []entry) string {
	return fmt.Sprintf(`#compdef usbagent
# zsh completion for usbagent
_usbagent() {
  local command="" commands="" flags="" word next
  for word in "${(@)words[2,CURRENT-1]}"; do
    next="${command:+$command }$word"
    case $next in (%s) command=$next ;; esac
  done
  case $command in
%s  esac
  case $words[CURRENT-1] in
%s  esac
  if [[ $words[CURRENT] == -* ]]; then
    compadd -- ${=flags}
  elif [[ -n $commands ]]; then
    compadd -- ${=commands}
  else
    _files
  fi
}
if [[ $funcstack[1] == _usbagent ]]; then _usbagent "$@"; else compdef _usbagent usbagent; fi
`, paths(entries), strings.ReplaceAll(cases(entries), "    \"", "    (\""), values(entries, "    (--%s) compadd -- ${=:-%q}; return ;;\n"))
}

func fishCompletion(entries []entry) string {
	var b strings.Builder
	b.WriteString("# fish completion for usbagent\n")
	for _, e := range entries {
		condition := "__fish_use_subcommand"
		if e.path != "" {
			words := strings.Fields(e.path)
			condition = "__fish_seen_subcommand_from " + words[len(words)-1]
		}
		for _, child := range e.children {
			b.WriteString("complete -c usbagent -f -n " + fishQuote(condition) + " -a " + child + " -d " + fishQuote(helpOf(entries, e.path, child)) + "\n")
		}
		for _, f := range e.flags {
			b.WriteString("complete -c usbagent -n " + fishQuote(condition) + " -l " + f.long)
			if f.short != "" {
				b.WriteString(" -s " + f.short)
			}
			if len(f.enum) > 0 {
				b.WriteString(" -x -a " + fishQuote(strings.Join(f.enum, " ")))
			} else if f.value != "" {
				b.WriteString(" -r")
			}
			b.WriteString(" -d " + fishQuote(f.help) + "\n")
		}
	}
	return b.String()
}

func fishQuote(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}

func helpOf(entries []entry, path, child string) string {
	for _, e := range entries {
		if e.path == strings.TrimSpace(path+" "+child) {
			return e.help
		}
	}
	return ""
}

func powershellCompletion(entries []entry) string {
	var b strings.Builder
	b.WriteString("# PowerShell completion for usbagent\n$usbagentWords = @{\n")
	for _, e := range entries {
		fmt.Fprintf(&b, "  '%s' = '%s'\n", e.path, strings.Join(append(e.children, e.words()...), " "))
	}
	b.WriteString(`}
Register-ArgumentCompleter -Native -CommandName usbagent -ScriptBlock {
  param($word, $ast, $position)
  $command = ''
  foreach ($element in $ast.CommandElements | Select-Object -Skip 1) {
    $next = "$command $element".Trim()
    if ($usbagentWords.ContainsKey($next)) { $command = $next }
  }
  $usbagentWords[$command].Split(' ') | Where-Object { $_ -like "$word*" } |
    ForEach-Object { [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_) }
}
`)
	return b.String()
}
