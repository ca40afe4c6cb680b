package formats

// mtTag names a field.
type mtTag uint8

// The tags that say something. Their options are told apart only where they mean something else: :25P: is :25:, with a
// second line that names the bank.
const (
	mtNone    mtTag = iota // what is before a message, and behind a field that is not read
	mtForeign              // a field that the format does not know, or that nothing is read of
	mt20
	mt21
	mt25
	mt28
	mt13
	mt34F
	mt60F
	mt60M
	mt61
	mt86
	mt62F
	mt62M
	mt90D
	mt90C
)

// mtNames are the tags as errors show them.
var mtNames = [...]string{
	"", "", ":20:", ":21:", ":25:", ":28C:", ":13D:", ":34F:", ":60F:", ":60M:", ":61:", ":86:", ":62F:", ":62M:", ":90D:", ":90C:",
}

func (t mtTag) String() string { return mtNames[t] }

// inHead says that the field stands before the statement's balance and lines.
func (t mtTag) inHead() bool { return t >= mt20 && t <= mt34F }

// mtSplitTag cuts ":61:" off a line, if it begins with a tag: two digits and perhaps a third character, or NS.
func mtSplitTag(line []byte) (tag mtTag, content []byte, is bool) {
	end := 3
	if len(line) > 3 && line[3] != ':' {
		end = 4
	}
	if len(line) <= end || line[end] != ':' {
		return mtNone, nil, false
	}
	content = line[end+1:]
	switch string(line[1:end]) {
	case "20":
		return mt20, content, true
	case "21":
		return mt21, content, true
	case "25", "25P":
		return mt25, content, true
	case "28", "28C", "28D":
		return mt28, content, true
	case "13", "13D":
		return mt13, content, true
	case "34F":
		return mt34F, content, true
	case "60F", "60":
		return mt60F, content, true
	case "60M":
		return mt60M, content, true
	case "61":
		return mt61, content, true
	case "86":
		return mt86, content, true
	case "62F", "62":
		return mt62F, content, true
	case "62M":
		return mt62M, content, true
	case "90D":
		return mt90D, content, true
	case "90C":
		return mt90C, content, true
	case "NS":
		return mtForeign, content, true
	}
	return mtForeign, content, mtDigit(line[1]) && mtDigit(line[2]) && (end == 3 || mtDigit(line[3]) || mtCapital(line[3]))
}

func mtDigit(c byte) bool { return c >= '0' && c <= '9' }

func mtCapital(c byte) bool { return c >= 'A' && c <= 'Z' }
