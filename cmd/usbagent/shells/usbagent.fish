# fish completion for usbagent: the program itself tells the words.

# Puts the words into $__usbagent_words; fails where names of files are wanted.
function __usbagent_complete
    set -l args (commandline -opc)
    set -l last (commandline -ct)
    set -l out ($args[1] __complete $args[2..-1] "$last" 2>/dev/null)
    or return 1
    # The value of --flag=value stands alone in what the program says.
    set -l flag (string match -r -- '^-[^=]*=' "$last")
    set -g __usbagent_words "$flag"$out[1..-2]
    test "$out[-1]" = :4; or test (count $out) -gt 1
end

complete -c usbagent -e
complete -c usbagent -n __usbagent_complete -f -a '$__usbagent_words'
