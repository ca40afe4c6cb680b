package periodic

// Bell wakes a duty, or whoever else waits for it, in this process. A ring is kept until somebody hears it; rings that come
// together are one, since one look serves all that was there before it.
type Bell chan struct{}

// NewBell makes a bell that nobody has rung.
func NewBell() Bell { return make(Bell, 1) }

// Ring rings the bell. It never blocks.
func (b Bell) Ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}
