"""What REST reaches outside: a server elsewhere, and the file of logins."""
