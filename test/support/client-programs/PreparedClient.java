import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;

/** Runs prepared statements over JDBC. Arguments: the URL. Standard input: a line per step, its fields separated by tabs:
 * the number of rows of a batch, the SQL, then values as "i:1" or "s:text". Standard output: a JSON line per step. */
public final class PreparedClient {
  public static void main(String[] args) throws Exception {
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    try (Connection connection = DriverManager.getConnection(args[0])) {
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        String[] fields = line.split("\t", -1);
        try {
          out.println("{\"rows\":" + run(connection, Integer.parseInt(fields[0]), fields) + "}");
        } catch (SQLException error) {
          String name = error.getClass().getSimpleName();
          out.println("{\"error\":" + quote(name) + ",\"number\":" + error.getErrorCode() + ",\"code\":"
              + quote(String.valueOf(error.getSQLState())) + ",\"message\":" + quote(error.getMessage()) + "}");
        }
      }
    }
  }

  private static String run(Connection connection, int batch, String[] fields) throws SQLException {
    try (PreparedStatement statement = connection.prepareStatement(fields[1])) {
      for (int row = 0; row < Math.max(batch, 1); row++) {
        for (int index = 2; index < fields.length; index++) bind(statement, index - 1, fields[index]);
        if (batch > 0) statement.addBatch();
      }
      if (batch > 0) {
        statement.executeBatch();
        return "[]";
      }
      List<String> rows = new ArrayList<>();
      boolean hasRows = statement.execute();
      while (hasRows || statement.getUpdateCount() >= 0) {
        if (hasRows) read(statement.getResultSet(), rows);
        hasRows = statement.getMoreResults();
      }
      return "[" + String.join(",", rows) + "]";
    }
  }

  private static void bind(PreparedStatement statement, int index, String value) throws SQLException {
    if (value.startsWith("i:")) statement.setLong(index, Long.parseLong(value.substring(2)));
    else statement.setString(index, value.substring(2));
  }

  private static void read(ResultSet result, List<String> rows) throws SQLException {
    int columns = result.getMetaData().getColumnCount();
    while (result.next()) {
      List<String> row = new ArrayList<>();
      for (int column = 1; column <= columns; column++) {
        String value = result.getString(column);
        row.add(value == null ? "null" : quote(value));
      }
      rows.add("[" + String.join(",", row) + "]");
    }
  }

  private static String quote(String text) {
    StringBuilder quoted = new StringBuilder("\"");
    for (char character : text.toCharArray()) {
      if (character < 0x20 || character == '"' || character == '\\') quoted.append(String.format("\\u%04x", (int) character));
      else quoted.append(character);
    }
    return quoted.append('"').toString();
  }
}
