package session

import "testing"

func TestPositionTextsAreReadBack(t *testing.T) {
	for _, text := range []string{"1795879931816-0-8ebb67", "0-1-000000", "18446744073709551615-18446744073709551615-ffffff", "5-7-0"} {
		p, err := ParsePosition(text)
		if err != nil || p.String() != text {
			t.Errorf("%s: read as %s, %v", text, p, err)
		}
		if p.IsZero() {
			t.Errorf("%s counts as no position", text)
		}
	}
}

func TestForgedPositionsAreRefused(t *testing.T) {
	for _, text := range []string{
		"", "0", "-", "1-2", "1-2-", "1--8ebb67", "-1-2-8ebb67", "+1-2-8ebb67", "01-2-8ebb67", "1-2-8EBB67", "1-2-8ebb6", "1-2-8ebb678",
		"1-2-00", "1-2-8ebb67-", "1-2-8ebb67 ", " 1-2-8ebb67", "18446744073709551616-0-8ebb67", "1_0-2-8ebb67", "1-2-+ebb67", "1-2-0x1234",
	} {
		if p, err := ParsePosition(text); err == nil {
			t.Errorf("%q was read as %v", text, p)
		}
	}
}

func TestPositionsOfOneHistoryAreOrdered(t *testing.T) {
	var list []Position
	for _, text := range []string{"1-0-8ebb67", "1-1-8ebb67", "2-0-8ebb67", "10-0-8ebb67"} {
		p, err := ParsePosition(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	for i := range list[1:] {
		if !list[i+1].After(list[i]) || list[i].After(list[i+1]) || list[i].After(list[i]) {
			t.Errorf("%v and %v", list[i], list[i+1])
		}
	}
	if !list[0].After(Position{}) {
		t.Error("no position is not before all")
	}
}

func FuzzParsePosition(f *testing.F) {
	f.Add("1795879931816-0-8ebb67")
	f.Add("1-2-0")
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := ParsePosition(text); err == nil && p.String() != text {
			t.Errorf("%q was read as %q", text, p.String())
		}
	})
}
