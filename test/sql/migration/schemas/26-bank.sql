-- Checks, money, generated columns.
CREATE TABLE accounts (
  id BIGINT AUTO_INCREMENT,
  iban CHAR(34) NOT NULL,
  currency CHAR(3) NOT NULL DEFAULT 'EUR',
  balance DECIMAL(19,4) NOT NULL DEFAULT 0,
  overdraft DECIMAL(19,4) NOT NULL DEFAULT 0,
  available DECIMAL(20,4) AS (balance + overdraft) VIRTUAL,
  opened DATE NOT NULL DEFAULT (CURRENT_DATE),
  PRIMARY KEY (id),
  UNIQUE (iban),
  CONSTRAINT positive CHECK (balance + overdraft >= 0),
  CONSTRAINT known_currency CHECK (currency IN ('EUR', 'USD', 'CHF')),
  CHECK (char_length(iban) BETWEEN 15 AND 34),
  CONSTRAINT shape CHECK (iban REGEXP '^[A-Z]{2}')
);
CREATE TABLE bookings (
  id BINARY(16) NOT NULL DEFAULT (UUID_TO_BIN(UUID())),
  account_id BIGINT NOT NULL,
  amount DECIMAL(19,4) NOT NULL,
  booked_at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  details JSON NOT NULL,
  PRIMARY KEY (id),
  KEY by_account (account_id, booked_at DESC),
  KEY by_reference ((CAST(details->>'$.reference' AS CHAR(40)))),
  FOREIGN KEY (account_id) REFERENCES accounts (id)
);
