package strictyaml

import "strings"

// Nearest returns the known name that word was probably meant to be, or "". What
// is almost right wins, then what is in another section, then what looks alike.
func Nearest(word string, known []string) string {
	if len(word) < 2 || len(word) > 64 {
		return ""
	}
	best, least := "", len(word)/4+2
	key, ties := "", 0
	for _, k := range known {
		if d := distance(plainName(word), plainName(k)); d < least {
			best, least = k, d
		}
		if distance(plainName(lastPart(word)), plainName(lastPart(k))) <= 1 {
			key = k
			ties++
		}
	}
	if ties == 1 && least > 1 {
		return key
	}
	return best
}

var separators = strings.NewReplacer(".", "_", "-", "_")

func plainName(name string) string { return separators.Replace(strings.ToLower(name)) }

func lastPart(name string) string { return name[strings.LastIndex(name, ".")+1:] }

// distance counts the letters to insert, drop, change or swap with their
// neighbour, to make b of a.
func distance(a, b string) int {
	var before, last []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last, row = last, row, make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			change := 1
			if a[i] == b[j] {
				change = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+change)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
