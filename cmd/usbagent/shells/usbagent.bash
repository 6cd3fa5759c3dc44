# bash completion for usbagent: the program itself tells the words.

# The words up to the cursor, where there is no package bash-completion: as bash
# has them, but --flag=value is one.
__usbagent_init_completion() {
	local i
	words=()
	for ((i = 0; i <= COMP_CWORD; i++)); do
		if ((i > 1)) && [[ ${COMP_WORDS[i]} == = || ${COMP_WORDS[i - 1]} == = ]]; then
			words[${#words[@]} - 1]+=${COMP_WORDS[i]}
		else
			words+=("${COMP_WORDS[i]}")
		fi
	done
	cword=$((${#words[@]} - 1)) cur=${words[cword]}
}

__start_usbagent() {
	local cur prev words cword split out found word last width=0
	COMPREPLY=()
	if declare -F _init_completion >/dev/null; then
		_init_completion -n =: || return
	else
		__usbagent_init_completion
	fi
	# Words are handed over as they were typed, so the shell expands what is in them.
	last=${words[cword]:-"''"}
	out=$(eval "${words[0]} __complete ${words[*]:1:cword-1} $last" 2>/dev/null) || return
	if [[ ${out##*:} == 4 && $(type -t compopt) == builtin ]]; then
		compopt +o default # no names of files
	fi
	[[ $cur == -*=* ]] && cur=${cur#*=}
	while IFS= read -r found; do
		word=${found%%$'\t'*}
		[[ $word == "$cur"* ]] || continue
		COMPREPLY+=("$found")
		((${#word} > width)) && width=${#word}
	done <<<"${out%:*}"
	# What a word means is shown beside it while there are several to choose from,
	# unless the shell inserts one after the other (COMP_TYPE % and *).
	for found in "${!COMPREPLY[@]}"; do
		word=${COMPREPLY[found]}
		if ((${#COMPREPLY[@]} > 1 && COMP_TYPE != 37 && COMP_TYPE != 42)) && [[ $word == *$'\t'* ]]; then
			printf -v word "%-${width}s  (%s)" "${word%%$'\t'*}" "${word#*$'\t'}"
			((${#word} > ${COLUMNS:-80})) && word=${word:0:${COLUMNS:-80}-1}…
		fi
		COMPREPLY[found]=${word%%$'\t'*}
	done
}

complete -o default -F __start_usbagent usbagent
