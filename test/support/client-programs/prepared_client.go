// Runs prepared statements with go-sql-driver/mysql, lib/pq or pgx. Standard input: { driver, source, steps }, where the source
// is what the driver calls a data source name. A JSON line per step.
package main

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v4/stdlib"
	_ "github.com/lib/pq"
)

type step struct {
	Sql    string        `json:"sql"`
	Values []interface{} `json:"values"`
}

type request struct {
	Driver string `json:"driver"`
	Source string `json:"source"`
	Steps  []step `json:"steps"`
}

type answer struct {
	Rows    *[][]*string `json:"rows,omitempty"`
	Error   string       `json:"error,omitempty"`
	Number  uint16       `json:"number,omitempty"`
	Code    string       `json:"code,omitempty"`
	Message string       `json:"message,omitempty"`
}

func run(db *sql.DB, one step) ([][]*string, error) {
	statement, err := db.Prepare(one.Sql)
	if err != nil {
		return nil, err
	}
	defer statement.Close()
	for index, value := range one.Values {
		if number, isNumber := value.(json.Number); isNumber {
			one.Values[index], _ = number.Int64()
		}
	}
	result, err := statement.Query(one.Values...)
	if err != nil {
		return nil, err
	}
	defer result.Close()
	rows := [][]*string{}
	for {
		columns, err := result.Columns()
		if err != nil {
			return nil, err
		}
		for result.Next() {
			row := make([]*string, len(columns))
			places := make([]interface{}, len(columns))
			for index := range row {
				places[index] = &row[index]
			}
			if err := result.Scan(places...); err != nil {
				return nil, err
			}
			rows = append(rows, row)
		}
		if !result.NextResultSet() {
			return rows, result.Err()
		}
	}
}

func main() {
	var asked request
	decoder := json.NewDecoder(os.Stdin)
	decoder.UseNumber()
	if err := decoder.Decode(&asked); err != nil {
		panic(err)
	}
	db, err := sql.Open(asked.Driver, asked.Source)
	if err != nil {
		panic(err)
	}
	// One connection, as the other programs have.
	db.SetMaxOpenConns(1)
	for _, one := range asked.Steps {
		rows, err := run(db, one)
		told := answer{Rows: &rows}
		if err != nil {
			told = answer{Error: strings.TrimPrefix(fmt.Sprintf("%T", err), "*"), Message: err.Error()}
			if known, isKnown := err.(*mysql.MySQLError); isKnown {
				told.Number, told.Message = known.Number, known.Message
			}
			if known, isKnown := err.(interface{ SQLState() string }); isKnown {
				told.Code = known.SQLState()
			}
		}
		line, _ := json.Marshal(told)
		fmt.Println(string(line))
	}
}
