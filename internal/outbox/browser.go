package outbox

import "strings"

// sign is what a word in a user agent tells. Of several signs the first in the
// list counts: browsers name those that they want to be taken for, too.
type sign struct{ has, name string }

var browsers = []sign{
	{"Edg/", "Edge"},
	{"EdgA/", "Edge"},
	{"EdgiOS/", "Edge"},
	{"OPR/", "Opera"},
	{"Vivaldi/", "Vivaldi"},
	{"SamsungBrowser/", "Samsung Internet"},
	{"Firefox/", "Firefox"},
	{"FxiOS/", "Firefox"},
	{"CriOS/", "Chrome"},
	{"Chrome/", "Chrome"},
	{"Safari/", "Safari"},
	{"curl/", "curl"},
	{"Wget/", "Wget"},
	{"python-requests/", "a Python program"},
	{"Python-urllib/", "a Python program"},
	{"Go-http-client/", "a Go program"},
	{"okhttp/", "an Android app"},
	{"node", "a Node.js program"},
}

var systems = []sign{
	{"iPhone", "iPhone"},
	{"iPad", "iPad"},
	{"Android", "Android"},
	{"Windows", "Windows"},
	{"CrOS", "ChromeOS"},
	{"Mac OS X", "macOS"},
	{"Linux", "Linux"},
	{"FreeBSD", "FreeBSD"},
}

// browser says in words what a user agent tells (RFC 9110, Section 10.1.5), like
// "Firefox on Windows". Nothing of the text itself is repeated: whoever signs in
// chooses it, and a mail program makes links of what looks like one.
func browser(agent string) string {
	name, system := Agent(agent)
	switch {
	case name == "" && system == "":
		return "unknown"
	case name == "":
		return "unknown, on " + system
	case system == "":
		return name
	}
	return name + " on " + system
}

// Agent returns the program and the system that a user agent names, each empty if
// it is not known. Nothing of the text itself is repeated.
func Agent(agent string) (program, system string) { return told(browsers, agent), told(systems, agent) }

func told(signs []sign, agent string) string {
	for _, s := range signs {
		if strings.Contains(agent, s.has) {
			return s.name
		}
	}
	return ""
}
