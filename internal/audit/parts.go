package audit

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
)

// keptPart is a private part in JSON, as a database and an export keep it.
type keptPart struct {
	Part   int    `json:"part"`
	Person string `json:"person"`
	Salt   []byte `json:"salt"`
	Data   string `json:"data"`
}

// encodeParts returns private parts as a database keeps them; nothing for none.
func encodeParts(parts []StoredPart) string {
	if len(parts) == 0 {
		return ""
	}
	b := append(make([]byte, 0, 256), '[')
	for i, p := range parts {
		b = strconv.AppendInt(append(between(b, i), `{"part":`...), int64(p.Number), 10)
		b = appendText(append(b, `,"person":`...), p.Person)
		b = base64.StdEncoding.AppendEncode(append(b, `,"salt":"`...), p.Salt)
		b = append(appendText(append(b, `","data":`...), string(p.Data)), '}')
	}
	return string(append(b, ']'))
}

// DecodeParts reads the private parts of an event as a database keeps them. Those
// that are written in another way are refused: a person's id could be spelled so that
// he is not found when he is to be forgotten, or something stand beside that nobody
// proves.
func DecodeParts(text string) ([]StoredPart, error) {
	if text == "" {
		return nil, nil
	}
	var list []keptPart
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, err
	}
	parts := make([]StoredPart, len(list))
	for i, p := range list {
		parts[i] = StoredPart{p.Part, Private{p.Person, p.Salt, []byte(p.Data)}}
	}
	if encodeParts(parts) != text {
		return nil, errors.New("private parts are written in another way")
	}
	return parts, nil
}

// Forget returns what is left of private parts, as a database keeps them, without
// those about a person, and how many those were. Of parts that cannot be read
// nothing is left.
func Forget(text, person string) (left string, forgotten int) {
	parts, err := DecodeParts(text)
	if err != nil {
		return "", 1
	}
	others := slices.DeleteFunc(slices.Clone(parts), func(p StoredPart) bool { return p.Person == person })
	return encodeParts(others), len(parts) - len(others)
}
