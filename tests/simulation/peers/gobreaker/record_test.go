// Runs scripts of calls through sony/gobreaker with its defaults and writes what it did.
// gobreaker reads the wall clock; inside testing/synctest that is a clock which only sleeping moves.
package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"
)

type line struct {
	At       int64
	Begin    *int
	End      *int
	Succeeds bool
}

type script struct {
	Seed  int    `json:"seed"`
	Lines []line `json:"lines"`
}

type recorded struct {
	Seed int      `json:"seed"`
	Told []string `json:"told"`
}

func TestRecord(t *testing.T) {
	given, err := os.ReadFile(os.Getenv("SCRIPTS"))
	if err != nil {
		t.Fatal(err)
	}
	var scripts []script
	if err := json.Unmarshal(given, &scripts); err != nil {
		t.Fatal(err)
	}
	var all []recorded
	for _, s := range scripts {
		synctest.Test(t, func(t *testing.T) {
			all = append(all, recorded{s.Seed, run(s.Lines)})
		})
	}
	text, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(os.Getenv("RECORDED"), append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func run(lines []line) []string {
	breaker := gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{Name: "recorded"})
	start := time.Now()
	done := map[int]func(error){}
	var told []string
	for _, l := range lines {
		time.Sleep(time.Until(start.Add(time.Duration(l.At) * time.Millisecond)))
		if l.Begin != nil {
			settle, err := breaker.Allow()
			said := "no"
			if err == nil {
				said = "yes"
				done[*l.Begin] = settle
			}
			told = append(told, fmt.Sprintf("%d %s %s", l.At, said, breaker.State()))
			continue
		}
		if settle, ok := done[*l.End]; ok {
			if l.Succeeds {
				settle(nil)
			} else {
				settle(errors.New("failed"))
			}
		}
		told = append(told, fmt.Sprintf("%d %s", l.At, breaker.State()))
	}
	return told
}
