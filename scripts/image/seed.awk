# Reads the part of meta-data and of a cloud-config (YAML) this guest understands, and prints it one a line:
#   key SSH-PUBLIC-KEY
#   mount DEVICE PATH
# Lists in block form ("- a", "- - a"), flow form ("[a, b]") or both. Anything else is passed over.
function unquoted(text) {
    gsub(/^[ \t]+|[ \t\r]+$/, "", text)
    if (text ~ /^'.*'$/) {
        text = substr(text, 2, length(text) - 2)
        gsub(/''/, "'", text)
    } else if (text ~ /^".*"$/) {
        text = substr(text, 2, length(text) - 2)
        gsub(/\\"/, "\"", text)
    }
    return text
}
function mounted(device, place) {
    if (device != "" && place ~ /^\//) print "mount", device, place
}
function item(text,    parts) {
    if (section == "ssh_authorized_keys" || section == "public-keys") {
        if (unquoted(text) != "") print "key", unquoted(text)
    } else if (section == "mounts") {
        if (text ~ /^\[/) {
            gsub(/[][]/, "", text)
            split(text, parts, ",")
            mounted(unquoted(parts[1]), unquoted(parts[2]))
        } else if (text ~ /^- /) {
            device = unquoted(substr(text, 3))
            field = 1
        }
    }
}
function flow(text,    n, i, parts) {
    sub(/^\[/, "", text)
    sub(/\][ \t\r]*$/, "", text)
    n = section == "mounts" ? split(text, parts, /\][ \t]*,[ \t]*/) : split(text, parts, /,/)
    for (i = 1; i <= n; i++) item(section == "mounts" ? "[" unquoted(parts[i]) : unquoted(parts[i]))
}
FNR == 1 { section = ""; field = 0 }
/^[ \t]*(#|$)/ { next }
/^[a-z_-]+:/ {
    section = substr($0, 1, index($0, ":") - 1)
    rest = unquoted(substr($0, index($0, ":") + 1))
    field = 0
    if (rest ~ /^\[/) flow(rest)
    next
}
{ match($0, /[^ ]/) }
/^ *- - / { inner = RSTART + 2; sub(/^ *- /, ""); item($0); next }
/^ +- / && field > 0 && RSTART == inner {
    sub(/^ +- /, "")
    if (++field == 2) mounted(device, unquoted($0))
    next
}
/^ *- / { sub(/^ *- /, ""); field = 0; item($0) }
