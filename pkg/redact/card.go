package redact

const (
	minCard = 13 // digits
	maxCard = 19
	// Card numbers are written in groups, "4111 1111 1111 1111" or "3782-822463-10005": all but the last have as many digits.
	minGroup, maxGroup = 4, 8
)

// card finds a card number that begins at the first digit of a number.
func card(s string, from int) finding {
	if from > 1 && s[from-1] == '.' && isDigit(s[from-2]) {
		return finding{} // behind a decimal point
	}
	var digits [maxCard]byte
	n, group, separator, found := 0, 0, byte(0), 0
	for i := from; ; i++ {
		if i < len(s) && isDigit(s[i]) {
			if n == maxCard {
				break // that many digits in a row, or in groups, are something else; what was found in whole groups counts
			}
			digits[n] = s[i] - '0'
			n, group = n+1, group+1
			continue
		}
		if n >= minCard && isCard(digits[:n]) {
			found = i
		}
		if i+1 >= len(s) || !isDigit(s[i+1]) || !isSeparator(s[i]) || separator != 0 && s[i] != separator ||
			group < minGroup || group > maxGroup {
			break
		}
		separator, group = s[i], 0
	}
	if found == 0 || isID(s, from, found) {
		return finding{}
	}
	return finding{from, found, Card}
}

func isSeparator(c byte) bool { return c == ' ' || c == '-' || c == '.' || c == '_' || c == '\t' }

// isCard tells whether digits are the number of a card: some network gives out numbers that begin like that and are as long,
// and the last digit is right. Timestamps begin otherwise.
func isCard(digits []byte) bool {
	return issued(digits) && luhn(digits)
}

// issued tells whether a card network gives out numbers that begin like that and are as long. Dates and times are no such
// numbers: in milliseconds, microseconds and nanoseconds they have 13, 16 and 19 digits and begin with 1.
func issued(digits []byte) bool {
	n, four := len(digits), 0
	for _, d := range digits[:4] {
		four = four*10 + int(d)
	}
	switch two := four / 100; {
	case two/10 == 1: // UATP
		return n == 15
	case two/10 == 4: // Visa
		return n == 13 || n == 16 || n == 18 || n == 19
	case two >= 51 && two <= 55, four >= 2221 && four <= 2720: // Mastercard
		return n == 16
	case two == 34, two == 37: // American Express
		return n == 15
	case two == 30, two == 36, two == 38, two == 39: // Diners Club
		return n >= 14
	case two == 50, two >= 56 && two <= 58, two/10 == 6: // Maestro, Discover, UnionPay, RuPay, Verve
		return true
	case two == 35, two == 81, two == 82, four >= 2200 && four <= 2204, four == 8600, four == 9792, four == 9860:
		return n >= 16 // JCB, UnionPay, RuPay, Mir, and the networks of Turkey and Uzbekistan
	}
	return false
}

// luhn tells whether the check digit is right.
func luhn(digits []byte) bool {
	sum := 0
	for i, d := range digits {
		if (len(digits)-i)%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += int(d)
	}
	return sum%10 == 0
}

// isID tells whether s[from:to] is a part of a UUID, or of hexadecimal digits as many as a span id, a trace id or a digest
// have.
func isID(s string, from, to int) bool {
	begin, end, letters := from, to, false
	for begin > max(0, from-maxID) && (isHex(s[begin-1]) || s[begin-1] == '-') {
		begin--
	}
	for end < min(len(s), to+maxID) && (isHex(s[end]) || s[end] == '-') {
		end++
	}
	dashes := false
	for _, c := range []byte(s[begin:end]) {
		letters, dashes = letters || isLetter(c), dashes || c == '-'
	}
	if !dashes {
		switch end - begin {
		case 16, 32, 40, 64:
			return letters
		}
		return false
	}
	for i := max(begin, to-uuidLength); i <= from && i+uuidLength <= end; i++ {
		if isUUID(s[i : i+uuidLength]) {
			return true
		}
	}
	return false
}

const (
	uuidLength = 36
	maxID      = 65 // more than any id has
)

func isUUID(s string) bool {
	for i := range len(s) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (s[i] == '-') {
			return false
		}
	}
	return true
}

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

// IsCardNumber tells of an integer whether its digits are a card number.
func IsCardNumber(n uint64) bool {
	var digits [20]byte
	i := len(digits)
	for ; n > 0; n /= 10 {
		i--
		digits[i] = byte(n % 10)
	}
	count := len(digits) - i
	return count >= minCard && count <= maxCard && isCard(digits[i:])
}
