// Verify-proof checks proof files of Dateline (docs/PROOF.md) with the packages that check Go's own module database.
//
// Usage: verify-proof [-alter] VKEY FILE...
//
// VKEY is the verifier key of the log, and must come from somewhere else than the proofs. The program prints what was
// proved, or ends with status 1. It checks everything but the content itself: for that, it prints the content digest that
// was recorded.
//
// With -alter, it also alters each byte of each file in three ways, and ends with status 1 if one of them is accepted.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	hasAbsence = 1 << 4
	hasRun     = 1 << 5
	allFlags   = 1<<6 - 1
)

// shown is what a proof shows of a change.
type shown struct {
	Seq         uint64   `json:"seq"`
	Kind        uint8    `json:"kind"`
	ArchiveTime int64    `json:"archive_time"`
	ObserveTime int64    `json:"observe_time"`
	Article     uint64   `json:"article"`
	Revision    uint32   `json:"revision"`
	BatchFirst  uint64   `json:"batch_first"`
	Previous    uint64   `json:"previous"`
	CreatedSeq  uint64   `json:"created_seq"`
	Since       int64    `json:"since"`
	StateSeq    uint64   `json:"state_seq"`
	LabelsSeq   uint64   `json:"labels_seq"`
	Flags       uint8    `json:"flags"`
	Absence     *absence `json:"absence,omitempty"`
	Groups      []group  `json:"groups"`
	Content     *string  `json:"content,omitempty"`
}

type absence struct {
	Reason      uint8   `json:"reason"`
	HTTPStatus  uint32  `json:"http_status"`
	GoneAfter   uint32  `json:"gone_after"`
	LastSeen    *int64  `json:"last_seen,omitempty"`
	FirstMissed *int64  `json:"first_missed,omitempty"`
	LastMissed  *int64  `json:"last_missed,omitempty"`
	Count       *uint32 `json:"count,omitempty"`
	Gone        *uint8  `json:"gone,omitempty"`
}

// group has its data and salt, or its commitment.
type group struct {
	Group      uint8   `json:"group"`
	Salt       *string `json:"salt,omitempty"`
	Data       *string `json:"data,omitempty"`
	Commitment *string `json:"commitment,omitempty"`
}

func decode(text string, length int) ([]byte, error) {
	data, err := base64.StdEncoding.Strict().DecodeString(text)
	if err == nil && length >= 0 && len(data) != length {
		err = fmt.Errorf("%q does not have %d bytes", text, length)
	}
	return data, err
}

// commitment returns the commitment of a group, and its data if that is shown.
func (g group) commitment() (commitment, data []byte, err error) {
	switch {
	case g.Commitment != nil && g.Salt == nil && g.Data == nil:
		commitment, err = decode(*g.Commitment, sha256.Size)
		return commitment, nil, err
	case g.Commitment == nil && g.Salt != nil && g.Data != nil:
		salt, err := decode(*g.Salt, 16)
		if err != nil {
			return nil, nil, err
		}
		length := -1
		if g.Group > 2 {
			length = sha256.Size
		}
		if data, err = decode(*g.Data, length); err != nil {
			return nil, nil, err
		}
		hash := sha256.New()
		hash.Write([]byte("dateline commitment 1\n"))
		hash.Write([]byte{g.Group})
		hash.Write(salt)
		hash.Write(data)
		return hash.Sum(nil), data, nil
	default:
		return nil, nil, errors.New("a group is neither shown nor withheld")
	}
}

// run returns the run of absences; nil if there is none.
func (a *absence) run() ([]any, error) {
	switch {
	case a.LastSeen != nil && a.FirstMissed != nil && a.LastMissed != nil && a.Count != nil && a.Gone != nil:
		return []any{*a.LastSeen, *a.FirstMissed, *a.LastMissed, *a.Count, *a.Gone}, nil
	case a.LastSeen == nil && a.FirstMissed == nil && a.LastMissed == nil && a.Count == nil && a.Gone == nil:
		return nil, nil
	default:
		return nil, errors.New("a run of absences is incomplete")
	}
}

// leaf rebuilds the leaf of the change, and returns the data of the groups that are shown.
func (s *shown) leaf() ([]byte, map[uint8][]byte, error) {
	fields := []any{
		s.Seq, s.Kind, s.ArchiveTime, s.ObserveTime, s.Article, s.Revision, s.BatchFirst, s.Previous, s.CreatedSeq, s.Since,
		s.StateSeq, s.LabelsSeq, s.Flags,
	}
	var flags uint8
	if s.Absence != nil {
		run, err := s.Absence.run()
		if err != nil {
			return nil, nil, err
		}
		flags |= hasAbsence
		fields = append(fields, s.Absence.Reason, s.Absence.HTTPStatus, s.Absence.GoneAfter)
		if run != nil {
			flags |= hasRun
			fields = append(fields, run...)
		}
	}
	if s.Flags&(hasAbsence|hasRun) != flags || s.Flags&^allFlags != 0 {
		return nil, nil, errors.New("the flags do not match what is shown")
	}
	leaf := bytes.NewBufferString("dateline leaf 1\n")
	for _, field := range fields {
		if err := binary.Write(leaf, binary.BigEndian, field); err != nil {
			return nil, nil, err
		}
	}
	known, last := map[uint8][]byte{}, uint8(0)
	for _, group := range s.Groups {
		if group.Group <= last || group.Group > 4 || (group.Group > 2 && last < 2) || (group.Group == 2 && last < 1) {
			return nil, nil, errors.New("the groups are not those of a change")
		}
		last = group.Group
		commitment, data, err := group.commitment()
		if err != nil {
			return nil, nil, err
		}
		leaf.WriteByte(group.Group)
		leaf.Write(commitment)
		known[group.Group] = data
	}
	if last < 2 {
		return nil, nil, errors.New("the groups are not those of a change")
	}
	return leaf.Bytes(), known, nil
}

// verify checks a proof file, and says what it proves.
func verify(file []byte, verifier note.Verifier) (string, error) {
	proof, signed, found := strings.Cut(string(file), "\n\n")
	lines := strings.Split(proof, "\n")
	if !found || len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(lines[1], "extra ") {
		return "", errors.New("it is not a proof of Dateline")
	}
	opened, err := note.Open([]byte(signed), note.VerifierList(verifier))
	if err != nil {
		return "", err
	}
	// Go accepts base64 whose last bits are not zero.
	if _, err := decode(opened.Sigs[0].Base64, 4+64); err != nil {
		return "", err
	}
	checkpoint := strings.Split(opened.Text, "\n")
	if len(checkpoint) < 4 || checkpoint[0] != verifier.Name() {
		return "", errors.New("it has no checkpoint of this log")
	}
	size, err := strconv.ParseInt(checkpoint[1], 10, 64)
	if err != nil {
		return "", err
	}
	root, err := tlog.ParseHash(checkpoint[2])
	if err != nil {
		return "", err
	}

	extra, err := decode(strings.TrimPrefix(lines[1], "extra "), -1)
	if err != nil {
		return "", err
	}
	var change shown
	if err := json.Unmarshal(extra, &change); err != nil {
		return "", err
	}
	// Go accepts members in another case, twice, or unknown. What is written again has none of that.
	if again, err := json.Marshal(change); err != nil || !bytes.Equal(again, extra) {
		return "", errors.New("what is shown is not written as Dateline writes it")
	}
	if lines[2] != fmt.Sprintf("index %d", change.Seq) {
		return "", errors.New("the index is not the position that is shown")
	}
	leaf, known, err := change.leaf()
	if err != nil {
		return "", err
	}
	var path tlog.RecordProof
	for _, line := range lines[3:] {
		hash, err := tlog.ParseHash(line)
		if err != nil || hash.String() != line {
			return "", errors.New("a hash is not one")
		}
		path = append(path, hash)
	}
	if err := tlog.CheckRecord(path, size, root, int64(change.Seq), tlog.RecordHash(leaf)); err != nil {
		return "", err
	}
	said := fmt.Sprintf("change %d of %d in %s, article %q", change.Seq, size, checkpoint[0], known[1])
	if digest := known[3]; digest != nil {
		said += fmt.Sprintf(", content digest %x", digest)
	}
	return said, nil
}

// alter returns an error if the file is accepted after a byte of it was altered.
func alter(file []byte, verifier note.Verifier) error {
	for at := range file {
		for _, bit := range []byte{1, 2, 4} {
			altered := append([]byte(nil), file...)
			altered[at] ^= bit
			if _, err := verify(altered, verifier); err == nil {
				return fmt.Errorf("it is accepted with byte %d altered from %q to %q", at, file[at], altered[at])
			}
		}
	}
	return nil
}

func main() {
	alters := flag.Bool("alter", false, "also check that no altered file is accepted")
	flag.Parse()
	if flag.NArg() < 2 {
		fail("usage: verify-proof [-alter] VKEY FILE...")
	}
	verifier, err := note.NewVerifier(flag.Arg(0))
	if err != nil {
		fail(err)
	}
	for _, name := range flag.Args()[1:] {
		file, err := os.ReadFile(name)
		if err != nil {
			fail(err)
		}
		said, err := verify(file, verifier)
		if err == nil && *alters {
			err = alter(file, verifier)
		}
		if err != nil {
			fail(name, ": ", err)
		}
		fmt.Println(said)
	}
}

func fail(message ...any) {
	fmt.Fprintln(os.Stderr, "not proved:", fmt.Sprint(message...))
	os.Exit(1)
}
