package redact

import "strings"

// secretNames are how the name of a secret ends, by the last letter. Case does not matter, nor what joins the words:
// "Client-Secret", "db_password", "token".
var secretNames = func() (byLast [256][]string) {
	for _, name := range []string{
		"password", "passwd", "passphrase", "pwd", "secret", "token", "authorization", "credential", "credentials", "cookie",
		"apikey", "secretkey", "privatekey", "accesskey", "signingkey", "cardnumber", "cvv", "cvc", " pan",
	} {
		last := name[len(name)-1]
		byLast[last] = append(byLast[last], name)
		byLast[last-0x20] = append(byLast[last-0x20], name)
	}
	return byLast
}()

// IsSecretName tells whether what is called that is a secret.
func IsSecretName(name string) bool {
	if name == "" || secretNames[name[len(name)-1]] == nil {
		return false
	}
	var buffer [32]byte
	letters := append(buffer[:0], ' ') // a word of three letters stands for itself
	for i := max(0, len(name)-len(buffer)+1); i < len(name); i++ {
		if c := name[i]; isLetter(c) {
			letters = append(letters, c|0x20)
		}
	}
	for _, secret := range secretNames[name[len(name)-1]] {
		if n := len(letters) - len(secret); n >= 0 && string(letters[n:]) == secret {
			return true
		}
	}
	return false
}

// value finds the value of a secret whose name is before s[i], which is = or :. It may be JSON, also quoted in JSON, the
// fields of a struct as Go prints them, a header, a form or a connection string.
func value(s string, i int) finding {
	end := i
	for end > 0 && (isSpace(s[end-1]) || isQuote(s[end-1]) || s[end-1] == '\\') {
		end--
	}
	begin := end
	for begin > 0 && isName(s[begin-1]) {
		begin--
	}
	if begin == end || !IsSecretName(s[begin:end]) {
		return finding{}
	}
	from, quote := i+1, byte(0)
	for from < len(s) && (isSpace(s[from]) || strings.IndexByte(`=[{("'\`+"`", s[from]) >= 0) {
		if isQuote(s[from]) {
			quote = s[from]
		}
		from++
	}
	to := valueEnd(s, from, quote)
	if to == from || strings.HasPrefix(s[from-1:], Secret) {
		return finding{}
	}
	return finding{from, to, Secret}
}

// valueEnd is where a value ends: at its closing quote, or before the next space – with its scheme before it, as "Bearer …".
func valueEnd(s string, from int, quote byte) int {
	if quote != 0 {
		for i := from; i < len(s); i++ {
			if s[i] == quote {
				for i > from && s[i-1] == '\\' {
					i-- // the quote of JSON in JSON
				}
				return i
			}
		}
		return len(s)
	}
	to := wordEnd(s, from)
	for _, scheme := range []string{"bearer", "basic", "digest", "token"} {
		if strings.EqualFold(s[from:to], scheme) && to+1 < len(s) && s[to] == ' ' {
			return wordEnd(s, to+1)
		}
	}
	return to
}

func wordEnd(s string, i int) int {
	for i < len(s) && !isSpace(s[i]) && !isQuote(s[i]) && s[i] != '&' {
		i++
	}
	return i
}

func isName(c byte) bool { return isLetter(c) || isDigit(c) || c == '_' || c == '-' || c == '.' }

// maxUserinfo is as far as the end of a user's name and password is looked for.
const maxUserinfo = 512

// userinfo finds what stands before the host of a URL whose scheme ends before s[i]: users, passwords and tokens.
func userinfo(s string, i int) finding {
	if !strings.HasPrefix(s[i:], "://") {
		return finding{}
	}
	from := i + len("://")
	to, slash := -1, false
	for j := from; j < min(len(s), from+maxUserinfo) && !isSpace(s[j]) && !isQuote(s[j]); j++ {
		switch s[j] {
		case '/', '?', '#':
			if to >= 0 || !slash && (!strings.Contains(s[from:j], ":") || isPort(s[from:j])) {
				return userinfoTo(from, to)
			}
			slash = true // of a password that nobody escaped, if an @ comes yet
		case '@':
			if to = j; slash {
				return userinfoTo(from, to)
			}
		}
	}
	return userinfoTo(from, to)
}

func userinfoTo(from, to int) finding {
	if to <= from {
		return finding{}
	}
	return finding{from, to, Secret}
}

// isPort tells whether a host has a port behind it.
func isPort(host string) bool {
	port := host[strings.LastIndexByte(host, ':')+1:]
	return strings.Trim(port, "0123456789") == ""
}

// known is how a credential begins.
type known struct {
	prefix string
	inWord bool // it may stand behind other letters
	least  int  // bytes that follow
}

// credentials are those that are known by how they begin, by the last byte of that.
var credentials = func() (byLast [256][]known) {
	for _, k := range []known{
		{"sk_live_", true, 4}, {"sk_test_", true, 4}, {"rk_live_", true, 4}, {"rk_test_", true, 4}, {"whsec_", true, 4},
		{"Bearer ", false, 8}, {"bearer ", false, 8}, {"eyJ", false, 16}, {"AKIA", false, 16}, {privateKey, false, 8},
		{"ghp_", false, 16}, {"xoxb-", false, 8}, {"xoxp-", false, 8},
	} {
		last := k.prefix[len(k.prefix)-1]
		byLast[last] = append(byLast[last], k)
	}
	return byLast
}()

// privateKey begins a key, in PEM.
const privateKey = "-----BEGIN "

// credential finds a credential of which s[i] is the last byte that it is known by; it does not reach back beyond kept.
func credential(s string, i, kept int) finding {
	for _, k := range credentials[s[i]] {
		begin, from := i+1-len(k.prefix), i+1
		if !strings.HasSuffix(s[kept:from], k.prefix) || !k.inWord && begin > 0 && (isLetter(s[begin-1]) || isDigit(s[begin-1])) {
			continue
		}
		if k.prefix == privateKey {
			return finding{begin, keyEnd(s, from), Secret}
		}
		to := from
		for to < len(s) && (isName(s[to]) || strings.IndexByte("~+/=", s[to]) >= 0) {
			to++
		}
		if to-from >= k.least {
			return finding{begin, to, Secret}
		}
	}
	return finding{}
}

// keyEnd is where a PEM block ends.
func keyEnd(s string, from int) int {
	const end = "-----END "
	if i := strings.Index(s[from:], end); i >= 0 {
		i += from + len(end)
		if j := strings.Index(s[i:], "-----"); j >= 0 {
			return i + j + len("-----")
		}
	}
	return len(s)
}
