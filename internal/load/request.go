package load

import "strconv"

// agent is what requests say of where they come from.
const agent = "doorward-bench"

// Get returns a GET of a path, as it goes over the wire. fields are further fields of
// the header, name and value. Nothing is escaped.
func Get(host, path string, fields ...string) []byte {
	return append(begin(nil, "GET ", host, path, fields), "\r\n"...)
}

// Post appends a POST of a form to b.
func Post(b []byte, host, path, form string, fields ...string) []byte {
	b = append(begin(b, "POST ", host, path, fields), "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(form)), 10)
	return append(append(b, "\r\n\r\n"...), form...)
}

func begin(b []byte, method, host, path string, fields []string) []byte {
	b = append(append(append(append(b, method...), path...), " HTTP/1.1\r\nHost: "...), host...)
	b = append(b, "\r\nUser-Agent: "+agent+"\r\n"...)
	for i := 0; i < len(fields); i += 2 {
		b = append(append(append(append(b, fields[i]...), ": "...), fields[i+1]...), "\r\n"...)
	}
	return b
}
