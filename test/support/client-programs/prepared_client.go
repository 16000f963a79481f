// Runs prepared statements with go-sql-driver/mysql. Standard input: { options, steps }. A JSON line per step.
package main

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/go-sql-driver/mysql"
)

type step struct {
	Sql    string        `json:"sql"`
	Values []interface{} `json:"values"`
}

type request struct {
	Options struct {
		Host     string `json:"host"`
		Port     int    `json:"port"`
		User     string `json:"user"`
		Password string `json:"password"`
		Database string `json:"database"`
	} `json:"options"`
	Steps []step `json:"steps"`
}

type answer struct {
	Rows    *[][]*string `json:"rows,omitempty"`
	Error   string       `json:"error,omitempty"`
	Number  uint16       `json:"number,omitempty"`
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
	o := asked.Options
	name := fmt.Sprintf("%s:%s@tcp(%s:%d)/%s?charset=utf8mb4", o.User, o.Password, o.Host, o.Port, o.Database)
	db, err := sql.Open("mysql", name)
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
		}
		line, _ := json.Marshal(told)
		fmt.Println(string(line))
	}
}
