"""What a new container begins with: a module for each template, `table` to find one. Programs of others work as well."""
