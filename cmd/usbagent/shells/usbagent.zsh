#compdef usbagent
compdef _usbagent usbagent
# zsh completion for usbagent: the program itself tells the words.

_usbagent() {
	local out line flag
	local -a completions typed prefix
	typed=("${(@)words[1,CURRENT]}")
	# Words are handed over as they were typed, so that the shell expands ~ and
	# variables in them.
	out=$(eval "${typed[1]} __complete ${(j: :)typed[2,-2]} ${typed[-1]:-''}" 2>/dev/null) || return 1
	for line in "${(@f)out}"; do
		[[ $line == :<-> || -z $line ]] && continue
		completions+=("${${line//:/\\:}//$'\t'/:}") # _describe wants a colon before the meaning
	done
	if [[ ${typed[-1]} == -*=* ]]; then
		prefix=(-P "${typed[-1]%%=*}=") flag=${typed[-1]%%=*}=
		PREFIX=${PREFIX#$flag}
	fi
	if ((${#completions})); then
		_describe usbagent completions "${prefix[@]}"
	elif [[ $out == *:0 ]]; then
		_files "${prefix[@]}"
	else
		return 1
	fi
}

# Not when the file is only read in ("source").
if [ "$funcstack[1]" = "_usbagent" ]; then
	_usbagent
fi
