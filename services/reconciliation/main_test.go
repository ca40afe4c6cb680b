package reconciliation

import (
	"testing"

	"github.com/tieout/tieout/pkg/pg/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
