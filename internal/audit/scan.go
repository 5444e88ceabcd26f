package audit

import "bytes"

// scanner reads the bytes of an event as they are usually written: members in their
// order, and texts without an escape. What surprises it is left to encoding/json,
// which takes several times as long.
type scanner struct {
	rest      []byte
	surprised bool
}

// scanLeaf returns what encoding/json would, or false for what it must read.
func scanLeaf(data []byte) (l Leaf, ok bool) {
	s := scanner{rest: data}
	s.take(`{"v":1,"id":`)
	l.ID = s.text()
	s.take(`,"at":`)
	l.At = s.text()
	s.take(`,"action":`)
	l.Action = Action(s.text())
	s.skip(`,"owasp":`)
	s.take(`,"outcome":`)
	l.Outcome = Outcome(s.text())
	s.take(`,"actor":`)
	l.Actor = s.text()
	s.skip(`,"client":`)
	if s.next(`,"target":`) {
		l.Target = s.text()
	}
	s.skip(`,"reason":`)
	s.skip(`,"request":`)
	if s.next(`,"detail":{`) {
		s.detail()
	}
	if s.next(`,"private":[`) {
		l.Private = s.list()
	}
	if s.next(`,"persons":[`) {
		l.Persons = s.list()
	}
	s.take(`}`)
	return l, !s.surprised && len(s.rest) == 0
}

// next takes some bytes, if they are next.
func (s *scanner) next(what string) bool {
	if len(s.rest) < len(what) || string(s.rest[:len(what)]) != what {
		return false
	}
	s.rest = s.rest[len(what):]
	return true
}

func (s *scanner) take(what string) { s.surprised = !s.next(what) || s.surprised }

// skip passes over a member whose text does not matter, if it is next.
func (s *scanner) skip(name string) {
	if s.next(name) {
		s.plain()
	}
}

func (s *scanner) text() string { return string(s.plain()) }

// plain takes a text.
func (s *scanner) plain() []byte {
	s.take(`"`)
	end := bytes.IndexByte(s.rest, '"')
	if end < 0 || s.surprised {
		s.surprised, s.rest = true, nil
		return nil
	}
	text := s.rest[:end]
	for _, c := range text {
		if c < ' ' || c > '~' || c == '\\' {
			s.surprised = true
		}
	}
	s.rest = s.rest[end+1:]
	return text
}

// list takes texts up to the end of their array.
func (s *scanner) list() []string {
	list := []string{}
	for more := !s.next(`]`); more && !s.surprised; more = s.next(`,`) {
		if list = append(list, s.text()); s.next(`]`) {
			return list
		}
	}
	s.surprised = s.surprised || len(list) > 0
	return list
}

// detail passes over facts. Those that the log obeys are for encoding/json.
func (s *scanner) detail() {
	for {
		switch name := s.plain(); {
		case bytes.EqualFold(name, []byte("until_leaf")), bytes.EqualFold(name, []byte("public_key")), bytes.EqualFold(name, []byte("voucher")):
			s.surprised = true
		}
		s.take(`:`)
		s.plain()
		if s.surprised || s.next(`}`) {
			return
		}
		s.take(`,`)
	}
}
