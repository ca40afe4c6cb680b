package crash

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// emptySize is the most bytes of machine code in a function that does nothing.
const emptySize = 16

// hasNoFailpoints wants nothing of package failpoint in a released binary, except for empty functions where the compiler
// did not leave out the call; and all of it in a tagged one, or it would not be found there either.
func hasNoFailpoints(t *testing.T, release, tagged string) {
	for symbol, size := range symbols(t, release) {
		if size > emptySize {
			t.Errorf("a released binary has %s, of %d bytes", symbol, size)
		}
	}
	working := 0
	for _, size := range symbols(t, tagged) {
		if size > emptySize {
			working++
		}
	}
	if working == 0 {
		t.Errorf("a tagged binary has no symbol of the package")
	}
	for binary, want := range map[string]bool{release: false, tagged: true} {
		text, err := os.ReadFile(binary)
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(text, []byte("FAILPOINT_")); got != want {
			t.Errorf("%s knows variables of failpoints: %v, want %v", binary, got, want)
		}
	}
}

// symbols gives the sizes of what a binary holds of package failpoint.
func symbols(t *testing.T, binary string) map[string]int {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "tool", "nm", "-size", binary).Output()
	if err != nil {
		t.Fatalf("go tool nm: %v", err)
	}
	sizes := map[string]int{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line) // address, size, type, name
		if len(fields) != 4 || !strings.Contains(fields[3], "/failpoint.") {
			continue
		}
		if sizes[fields[3]], err = strconv.Atoi(fields[1]); err != nil {
			t.Fatalf("go tool nm: %q: %v", line, err)
		}
	}
	return sizes
}
